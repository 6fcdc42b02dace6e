"""Making deletions, and finishing what a gateway that died has begun."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import count, zip_longest

from axonstream.contract.deletion import MOST_TRACES, Deletion, Late
from axonstream.gateway.control.audit_entry import MOST_SHOWN, Action, Actor, entry
from axonstream.gateway.control.data import MAX_DELETIONS
from axonstream.gateway.control.log import Control
from axonstream.gateway.control.records import ControlRecord, Kind, Place, encode_record, new_id
from axonstream.gateway.deleting.markers import Markers
from axonstream.gateway.http.errors import RefusedError, UnavailableError
from axonstream.settings.settings import Settings

log = logging.getLogger(__name__)

LOOK_S = 5.0
_LOOKS_BETWEEN_MARKERS = 12
_A_DAY_MS = 24 * 3600 * 1000
_ABANDONED_AFTER_MS = 20_000  # beyond the time that a request takes
_KEPT_BEYOND_DAYS = 7


class Deletions:
    """`clock` gives ms since 1970.

    The order of the steps, so that a deletion that is told of never comes to nothing:

    1. the record, with its entry of the audit log: from here on reads say that the trace is being deleted;
    2. the markers, on every partition: what stands before them is deleted;
    3. the record again, with the offsets of the markers: from here on the sink may have ClickHouse delete.

    The control topic writes each record to the disk before it acknowledges it, agent-events need not. So a power cut
    may take markers, and no record: `repeat_lost` does those deletions again.
    """

    def __init__(self, settings: Settings, control: Control, markers: Markers, clock: Callable[[], int]) -> None:
        self._control = control
        self._markers = markers
        self._clock = clock
        days = max(settings.events_ttl_days, settings.summaries_ttl_days, settings.dead_letters_ttl_days)
        log_days = settings.topic_retention_hours // 24
        self._kept_ms = (days + log_days + _KEPT_BEYOND_DAYS) * _A_DAY_MS

    async def delete(
        self,
        tenant_id: str,
        trace_ids: Sequence[str],
        late: Late,
        actor: Actor,
        subject: str,
        before: dict[str, object],
        selected: tuple[str, str] | None = None,
    ) -> list[Deletion]:
        """Delete these traces; none are all that the tenant has. Returns when what came before it is deleted for good.

        `selected` is by what they were chosen: events that name it are as late as those of the traces.

        Raises RefusedError 409 at the limit of deletions of single traces, UnavailableError when Kafka does not
        acknowledge in time.
        """
        slices = [tuple(trace_ids[at : at + MOST_TRACES]) for at in range(0, len(trace_ids), MOST_TRACES)] or [()]
        known = len(self._control.data.tenant(tenant_id).deletions)
        if trace_ids and known + len(slices) > MAX_DELETIONS:
            raise RefusedError(
                409,
                f"the tenant has {MAX_DELETIONS} deletions that are remembered",
                "Delete all of the tenant (DELETE /traces?tenant=...&late=stored), or wait: retention forgets the "
                "oldest.",
            )
        made: list[Deletion] = []
        for some in slices:
            deletion = Deletion(new_id(), some, late, self._after(tenant_id), selected=selected)
            after = {"deletion": deletion.id, "late": str(late), "traces": list(some[:MOST_SHOWN])}
            after |= {"traces_deleted": len(some)} if some else {"everything_of": tenant_id}
            told = entry(
                actor,
                Action.TRACES_DELETE,
                subject,
                at=deletion.at,
                tenant_id=tenant_id,
                before=before,
                after=after,
            )
            await self._control.write([_record(tenant_id, deletion)], told)
            made.append(await self._complete(tenant_id, deletion))
        await self._forget_superseded(tenant_id, made)
        return made

    def chosen_before(self, tenant_id: str, selected: tuple[str, str]) -> set[str]:
        """The traces that were deleted because of this selection."""
        known = self._control.data.deleted.of_tenant(tenant_id)
        return {trace_id for one in known if one.selected == selected for trace_id in one.trace_ids}

    async def _forget_superseded(self, tenant_id: str, made: Sequence[Deletion]) -> None:
        """An earlier deletion of no other traces says nothing more, when its bounds are not above those of the new one.

        One of all of the tenant takes in every trace, session and user: it says anew what becomes of late events.
        """
        new, gone = {deletion.id for deletion in made}, list[bytes]()
        is_of_all = not made[0].trace_ids
        traces = {trace_id for deletion in made for trace_id in deletion.trace_ids}
        for older in self._control.data.deleted.of_tenant(tenant_id):
            if older.id in new or not older.bounds or not all(_is_beyond(one, older) for one in made):
                continue
            if not is_of_all and older.selected not in (None, made[0].selected) and older.late is Late.REFUSED:
                continue  # events that name it are refused, whatever their trace
            if is_of_all or (older.trace_ids and traces.issuperset(older.trace_ids)):
                gone.append(encode_record(_record(tenant_id, older))[0])
        if gone:
            await self._control.forget(gone)

    async def run(self) -> None:
        """Until it is cancelled: complete what was begun and abandoned, forget what cannot come back any more, and see
        that the markers still stand.
        """
        looks = count(1)
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
                if not next(looks) % _LOOKS_BETWEEN_MARKERS:
                    await self.repeat_lost()
            except UnavailableError as error:
                log.warning("deletions are not completed yet: %s", error)

    async def repeat_lost(self) -> None:
        """Delete again what Kafka has lost the markers of. Raises UnavailableError.

        What was published until then is deleted with it. Of a tenant all later ones are repeated, too, in their order:
        the newest of them says what becomes of late events.
        """
        known = [(tenant_id, deletion) for tenant_id, deletion in self._control.data.deleted if deletion.bounds]
        if not known:
            return
        lost = await self._markers.lost([deletion for _, deletion in known])
        if not lost:
            return
        if not await self._control.catch_up():  # another gateway may have repeated them
            raise UnavailableError("the control topic cannot be read", "It is looked at again.")
        for tenant_id in {tenant_id for tenant_id, deletion in known if deletion.id in lost}:
            await self._repeat(tenant_id, lost)

    async def _repeat(self, tenant_id: str, lost: Collection[int]) -> None:
        """Deletions of their own, which ClickHouse has not finished; the lost ones are void from these records on.

        One that waits for its markers is repeated with those after which it came. The newest is written first: where
        only some of the records come to be, the newest of all is still the one that was the newest before.
        """
        own = sorted(self._control.data.deleted.of_tenant(tenant_id), key=_order)
        first = next((place for place, one in enumerate(own) if one.id in lost), len(own))
        begin = self._after(tenant_id)
        repeats = {one: _again(one, begin + place) for place, one in enumerate(own[first:])}
        if not repeats:
            return
        log.warning(
            "Kafka has lost a marker of deletion %s of tenant %s: %d deletions are done again",
            own[first].id,
            tenant_id,
            len(repeats),
        )
        await self._control.note([_record(tenant_id, again) for again in reversed(repeats.values())])
        for again in repeats.values():
            await self._complete(tenant_id, again)
        await self._control.forget([encode_record(_record(tenant_id, one))[0] for one in repeats])

    def _after(self, tenant_id: str) -> int:
        """The time of a deletion that is made now: it is newer than every one that the tenant has."""
        return max((self._clock(), *(one.at + 1 for one in self._control.data.deleted.of_tenant(tenant_id))))

    async def look(self) -> None:
        """One look. Two gateways that complete the same deletion do no harm. Raises UnavailableError."""
        if not self._control.data.loaded:
            return
        now = self._clock()
        forgotten: list[bytes] = []
        for tenant_id, deletion in list(self._control.data.deleted):
            is_kept = deletion.repeats in self._control.data.tenant(tenant_id).deletions
            if is_kept:  # the gateway that repeated it died before it forgot it
                forgotten.append(encode_record(_record(tenant_id, replace(deletion, id=deletion.repeats)))[0])
            if deletion.at + self._kept_ms < now:
                forgotten.append(encode_record(_record(tenant_id, deletion))[0])
            elif not deletion.bounds and deletion.at + _ABANDONED_AFTER_MS < now:
                await self._complete(tenant_id, deletion)
        if forgotten:
            await self._control.forget(forgotten)

    async def _complete(self, tenant_id: str, deletion: Deletion) -> Deletion:
        deletion = await self._markers.append(tenant_id, deletion)
        await self._control.note([_record(tenant_id, deletion)])
        return deletion


def _is_beyond(newer: Deletion, older: Deletion) -> bool:
    """Another gateway may have made it meanwhile: its time, or one of its markers, may come later."""
    if _order(newer) < _order(older) or newer.topic_id != older.topic_id:
        return False
    return all(newer.bound(newer.topic_id, number) >= bound for number, bound in enumerate(older.bounds))


def _again(lost: Deletion, at: int) -> Deletion:
    of_ends = tuple(max(pair) for pair in zip_longest(lost.bounds, lost.lost_bounds, fillvalue=0))
    return replace(lost, id=new_id(), at=at, topic_id="", bounds=(), repeats=lost.id, lost_bounds=of_ends)


def _order(deletion: Deletion) -> tuple[int, int]:
    return deletion.at, deletion.id


def _record(tenant_id: str, deletion: Deletion) -> ControlRecord:
    return ControlRecord(Place(Kind.DELETION, tenant_id, deletion.id), deletion)
