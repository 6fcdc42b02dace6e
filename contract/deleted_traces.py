"""Which events are deleted, found by tenant and trace. Plain state: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from typing import TypeVar

from axonstream.contract.deletion import Deletion, Late, Marker

_Key = TypeVar("_Key", str, tuple[str, str])
_Order = tuple[int, int]
_NEVER: _Order = (-1, -1)


class DeletedTraces:
    """What a row of deletions comes down to. An installation without any costs its users one look whether it is empty.

    Of several deletions of one trace each bound holds, and the newest says what becomes of late events. Of deletions of
    a whole tenant likewise; while the newest of them refuses, no trace of the tenant takes any. One that stores late
    events lets in again what was refused before it: it takes in every trace.
    """

    def __init__(self) -> None:
        self._tenants: dict[str, _OfTenant] = {}
        self._repeated: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._tenants)

    def __iter__(self) -> Iterator[tuple[str, Deletion]]:
        return ((tenant_id, one) for tenant_id, own in self._tenants.items() for one in own.deletions.values())

    def put(self, tenant_id: str, deletion: Deletion) -> None:
        """A deletion, or what more is known of it: bounds that are known already stay.

        One that was repeated is void, whenever it comes: its bounds are offsets that Kafka has given again.
        """
        if deletion.id in self._repeated:
            return
        if deletion.repeats:
            self._repeated.add(deletion.repeats)
            self.drop(tenant_id, deletion.repeats)
        own = self._tenants.setdefault(tenant_id, _OfTenant())
        known = own.deletions.get(deletion.id)
        if known is not None:
            own.forget(known)
            if known.topic_id in ("", deletion.topic_id) or not deletion.topic_id:
                bounds = tuple(max(pair) for pair in zip_longest(known.bounds, deletion.bounds, fillvalue=0))
                deletion = replace(deletion, topic_id=deletion.topic_id or known.topic_id, bounds=bounds)
            deletion = replace(deletion, selected=deletion.selected or known.selected)
        own.remember(deletion)

    def is_repeated(self, number: int) -> bool:
        """Whether another deletion has taken the place of this one."""
        return number in self._repeated

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
        return own is not None and own.refuses(trace_id)

    def refuses_all(self, tenant_id: str) -> bool:
        """Whether all events of this tenant are refused, because all of it was deleted."""
        own = self._tenants.get(tenant_id)
        return own is not None and own.is_shut

    def refuses_selections(self, tenant_id: str) -> bool:
        """False where `refuses_selection` is false of everything."""
        own = self._tenants.get(tenant_id)
        return own is not None and bool(own.refused_selections)

    def refuses_selection(self, tenant_id: str, selected: tuple[str, str]) -> bool:
        """Whether traces that were chosen by this were deleted, and late events that name it are refused."""
        own = self._tenants.get(tenant_id)
        return own is not None and own.refused_selections.get(selected, _NEVER) > own.opened

    def hides(self, tenant_id: str, trace_id: str, topic_id: str, partition: int, offset: int) -> bool:
        """Whether the event at this place of the log is deleted, or refused."""
        own = self._tenants.get(tenant_id)
        if own is None:
            return False
        return own.refuses(trace_id) or offset < self.bound(tenant_id, trace_id, topic_id, partition)

    def bound(self, tenant_id: str, trace_id: str, topic_id: str, partition: int) -> int:
        """Events of this trace below this offset are deleted."""
        return max((one.bound(topic_id, partition) for one in self.of_trace(tenant_id, trace_id)), default=0)


class _OfTenant:
    """`everything` are the deletions that name no trace; `is_shut` says that the newest of them refuses late events.

    `refused` has when a trace was refused; `opened` is when all of the tenant was deleted: what is older says nothing.
    """

    def __init__(self) -> None:
        self.deletions: dict[int, Deletion] = {}
        self.everything: dict[int, Deletion] = {}
        self.by_trace: dict[str, dict[int, Deletion]] = {}
        self.by_selection: dict[tuple[str, str], dict[int, Deletion]] = {}
        self.refused = dict[str, _Order]()
        self.refused_selections = dict[tuple[str, str], _Order]()
        self.is_shut = False
        self.opened = _NEVER

    def refuses(self, trace_id: str) -> bool:
        return self.is_shut or self.refused.get(trace_id, _NEVER) > self.opened

    def remember(self, deletion: Deletion) -> None:
        self.deletions[deletion.id] = deletion
        if not deletion.trace_ids:
            self.everything[deletion.id] = deletion
            self._decide_of_all()
        for trace_id in deletion.trace_ids:
            _add(self.by_trace, trace_id, deletion, self.refused)
        if deletion.selected is not None:
            _add(self.by_selection, deletion.selected, deletion, self.refused_selections)

    def forget(self, deletion: Deletion) -> None:
        self.deletions.pop(deletion.id, None)
        self.everything.pop(deletion.id, None)
        self._decide_of_all()
        for trace_id in deletion.trace_ids:
            _take(self.by_trace, trace_id, deletion, self.refused)
        if deletion.selected is not None:
            _take(self.by_selection, deletion.selected, deletion, self.refused_selections)

    def _decide_of_all(self) -> None:
        newest = _newest(self.everything)
        self.is_shut = newest is not None and newest.late is Late.REFUSED
        self.opened = _NEVER if newest is None else _order(newest)


def _add(rows: dict[_Key, dict[int, Deletion]], key: _Key, deletion: Deletion, refused: dict[_Key, _Order]) -> None:
    rows.setdefault(key, {})[deletion.id] = deletion
    _decide(rows, key, refused)


def _take(rows: dict[_Key, dict[int, Deletion]], key: _Key, deletion: Deletion, refused: dict[_Key, _Order]) -> None:
    if (row := rows.get(key)) is not None:
        row.pop(deletion.id, None)
        if not row:
            del rows[key]
    _decide(rows, key, refused)


def _decide(rows: dict[_Key, dict[int, Deletion]], key: _Key, refused: dict[_Key, _Order]) -> None:
    newest = _newest(rows.get(key, {}))
    if newest is not None and newest.late is Late.REFUSED:
        refused[key] = _order(newest)
    else:
        refused.pop(key, None)


def _newest(row: dict[int, Deletion]) -> Deletion | None:
    """It says what becomes of late events."""
    return max(row.values(), key=_order, default=None)


def _order(deletion: Deletion) -> _Order:
    return deletion.at, deletion.id
