"""Which events are deleted, found by tenant and trace. Plain state: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest

from producers.deletion import Deletion, Late, Marker


class DeletedTraces:
    """What a row of deletions comes down to. An installation without any costs its users one look whether it is empty.

    Of several deletions of one trace each bound holds, and the newest says what becomes of late events.
    """

    def __init__(self) -> None:
        self._tenants: dict[str, _OfTenant] = {}

    def __bool__(self) -> bool:
        return bool(self._tenants)

    def __iter__(self) -> Iterator[tuple[str, Deletion]]:
        return ((tenant_id, one) for tenant_id, own in self._tenants.items() for one in own.deletions.values())

    def put(self, tenant_id: str, deletion: Deletion) -> None:
        """A deletion, or what more is known of it: bounds that are known already stay."""
        own = self._tenants.setdefault(tenant_id, _OfTenant())
        known = own.deletions.get(deletion.id)
        if known is not None:
            own.forget(known)
            if known.topic_id in ("", deletion.topic_id) or not deletion.topic_id:
                bounds = tuple(max(pair) for pair in zip_longest(known.bounds, deletion.bounds, fillvalue=0))
                deletion = replace(deletion, topic_id=deletion.topic_id or known.topic_id, bounds=bounds)
        own.remember(deletion)

    def mark(self, marker: Marker, topic_id: str, partition: int, offset: int) -> None:
        """A marker was met in the log."""
        bounds = (*(0 for _ in range(partition)), offset)
        self.put(marker.tenant_id, replace(marker.deletion, topic_id=topic_id, bounds=bounds))

    def drop(self, tenant_id: str, number: int) -> None:
        """A deletion is no longer kept: nothing can be left of what it deleted."""
        own = self._tenants.get(tenant_id)
        known = None if own is None else own.deletions.get(number)
        if own is not None and known is not None:
            own.forget(known)
            if not own.deletions:
                del self._tenants[tenant_id]

    def of_trace(self, tenant_id: str, trace_id: str) -> list[Deletion]:
        """Every deletion that takes in this trace."""
        own = self._tenants.get(tenant_id)
        return [] if own is None else [*own.everything.values(), *own.by_trace.get(trace_id, {}).values()]

    def of_tenant(self, tenant_id: str) -> list[Deletion]:
        """Every deletion of this tenant."""
        own = self._tenants.get(tenant_id)
        return [] if own is None else list(own.deletions.values())

    def refuses(self, tenant_id: str, trace_id: str) -> bool:
        """Whether events of this trace are refused, however late they come. Takes one look for most tenants."""
        own = self._tenants.get(tenant_id)
        return own is not None and trace_id in own.refused

    def hides(self, tenant_id: str, trace_id: str, topic_id: str, partition: int, offset: int) -> bool:
        """Whether the event at this place of the log is deleted, or refused."""
        own = self._tenants.get(tenant_id)
        if own is None:
            return False
        return trace_id in own.refused or offset < self.bound(tenant_id, trace_id, topic_id, partition)

    def bound(self, tenant_id: str, trace_id: str, topic_id: str, partition: int) -> int:
        """Events of this trace below this offset are deleted."""
        return max((one.bound(topic_id, partition) for one in self.of_trace(tenant_id, trace_id)), default=0)


class _OfTenant:
    """`everything` are the deletions that name no trace."""

    def __init__(self) -> None:
        self.deletions: dict[int, Deletion] = {}
        self.everything: dict[int, Deletion] = {}
        self.by_trace: dict[str, dict[int, Deletion]] = {}
        self.refused: set[str] = set()

    def remember(self, deletion: Deletion) -> None:
        self.deletions[deletion.id] = deletion
        if not deletion.trace_ids:
            self.everything[deletion.id] = deletion
        for trace_id in deletion.trace_ids:
            self.by_trace.setdefault(trace_id, {})[deletion.id] = deletion
            self._decide(trace_id)

    def forget(self, deletion: Deletion) -> None:
        self.deletions.pop(deletion.id, None)
        self.everything.pop(deletion.id, None)
        for trace_id in deletion.trace_ids:
            if (row := self.by_trace.get(trace_id)) is not None:
                row.pop(deletion.id, None)
                if not row:
                    del self.by_trace[trace_id]
            self._decide(trace_id)

    def _decide(self, trace_id: str) -> None:
        row = self.by_trace.get(trace_id)
        newest = max(row.values(), key=lambda one: (one.at, one.id)) if row else None
        if newest is not None and newest.late is Late.REFUSED:
            self.refused.add(trace_id)
        else:
            self.refused.discard(trace_id)
