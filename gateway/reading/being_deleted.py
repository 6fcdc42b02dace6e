"""What a read may not show: traces whose deletion ClickHouse has not finished. It is asked only where there are any."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from time import monotonic
from typing import NamedTuple

from axonstream.contract.deletion import Deletion
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.http.errors import RefusedError
from axonstream.gateway.reading.clickhouse_reads import ClickHouseReads

HEADER = "X-Axonstream-Deleting"
_MOST_AT_ONCE = 5_000  # ids in one value of a query
_ASK_AGAIN_S = 5.0  # for lists: a ClickHouse that came from a backup has forgotten what it had finished
_FINISHED = "SELECT DISTINCT id FROM finished_deletions WHERE id IN {ids:Array(UInt64)}"


class Hidden(NamedTuple):
    """Of one tenant: `trace_ids`, or `everything`."""

    trace_ids: frozenset[str]
    everything: bool

    def __bool__(self) -> bool:
        return self.everything or bool(self.trace_ids)

    def hides(self, trace_id: str) -> bool:
        return self.everything or trace_id in self.trace_ids

    @property
    def headers(self) -> dict[str, str]:
        """Of a list from which something is left out, and of the answer for a trace."""
        return {HEADER: "true"} if self else {}


NOTHING = Hidden(frozenset(), everything=False)


class BeingDeletedError(RefusedError):
    """404 with the header; the trace is not shown any more, though rows of it may be there."""

    def __init__(self) -> None:
        super().__init__(
            404, "this trace is being deleted", "Nothing of it is shown any more; ClickHouse has not finished yet."
        )
        self.headers = {HEADER: "true"}


class BeingDeleted:
    """A tenant without deletions costs one look into memory. Calls raise what `ClickHouseReads.rows` raises."""

    def __init__(self, control: ControlData, reads: ClickHouseReads, clock: Callable[[], float] = monotonic) -> None:
        self._deleted = control.deleted
        self._reads = reads
        self._clock = clock
        self._finished: dict[int, float] = {}  # deletions, and until when that is believed

    async def check(self, tenant_id: str, trace_id: str) -> None:
        """Raises BeingDeletedError. To be called before the rows of a trace are read."""
        if not self._deleted:
            return
        deletions = self._deleted.of_trace(tenant_id, trace_id)
        for one in deletions:
            self._finished.pop(one.id, None)  # of one trace it is always asked
        if await self._unfinished(tenant_id, deletions):
            raise BeingDeletedError

    def known(self, tenant_id: str, trace_id: str) -> Collection[int]:
        """The deletions of a trace before `check`; one more after the read: it may have seen half of the trace."""
        if not self._deleted:
            return ()
        return {one.id for one in self._deleted.of_trace(tenant_id, trace_id)}

    def check_since(self, tenant_id: str, trace_id: str, known: Collection[int]) -> None:
        """Raises BeingDeletedError when a deletion came since `known`."""
        if self._deleted and any(one.id not in known for one in self._deleted.of_trace(tenant_id, trace_id)):
            raise BeingDeletedError

    async def finished(self, tenant_id: str) -> Collection[int]:
        """The deletions of a tenant that are finished before a list is read; `hidden` takes them after it."""
        if not self._deleted:
            return ()
        deletions = self._deleted.of_tenant(tenant_id)
        unfinished = {one.id for one in await self._unfinished(tenant_id, deletions)}
        return {one.id for one in deletions if one.id not in unfinished}

    def hidden(self, tenant_id: str, finished: Collection[int]) -> Hidden:
        """What a list leaves out: all whose deletion was not finished before it was read."""
        if not self._deleted:
            return NOTHING
        others = [one for one in self._deleted.of_tenant(tenant_id) if one.id not in finished]
        return Hidden(
            frozenset(trace_id for one in others for trace_id in one.trace_ids),
            everything=any(not one.trace_ids for one in others),
        )

    async def _unfinished(self, tenant_id: str, deletions: Iterable[Deletion]) -> list[Deletion]:
        now = self._clock()
        doubtful = [one for one in deletions if self._finished.get(one.id, 0.0) <= now]
        asked = [one.id for one in doubtful if one.bounds]
        for at in range(0, len(asked), _MOST_AT_ONCE):
            some = asked[at : at + _MOST_AT_ONCE]
            for (number,) in await self._reads.rows(tenant_id, _FINISHED, {"ids": some}):
                self._finished[number] = now + _ASK_AGAIN_S
        return [one for one in doubtful if self._finished.get(one.id, 0.0) <= now]
