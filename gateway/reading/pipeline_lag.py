"""How far storing and folding are behind what publishers were told is there, and whether they move at all.

A gateway looks every LOOK_S, whether anybody asks or not, and once a second at most. Its log says when the pipeline
stands, and when it is so far behind that Kafka's retention comes near: what is deleted before it is stored is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from axonstream.gateway.reading.lag_history import STANDS_S, LagHistory, Progress
from axonstream.gateway.reading.pipeline_offsets import PipelineOffsetsError, named
from axonstream.gateway.reading.read_barrier import AskedEnd
from axonstream.gateway.shared_look import SharedLook

log = logging.getLogger(__name__)

LOOK_S = 10.0
PART_OF_RETENTION = 0.1
_PATIENCE_S = 5.0
_SAID_AGAIN_S = 600.0
_ASKED_AT_ONCE = 16  # partitions of which Kafka is asked for an event, in one look


class Offsets(Protocol):
    """What is needed of `axonstream.gateway.reading.pipeline_offsets.PipelineOffsets`."""

    @property
    def partitions(self) -> Sequence[int]: ...
    async def told_ends(self) -> Mapping[int, AskedEnd]: ...
    async def progress(self) -> dict[int, Progress]: ...
    async def appended_at_ms(self, places: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], int]: ...


class PipelineState(NamedTuple):
    """`state` is `ok`, or says what is wrong, in words that may be told to anybody. A lag of None is not known."""

    state: str
    events_lag_s: float | None
    summaries_lag_s: float | None
    standing_s: float


_NOT_LOOKED = PipelineState("not known yet", None, None, 0.0)


class PipelineLag:
    """`clock` gives seconds that go on evenly, `now_ms` ms since 1970, which the times of Kafka are compared with."""

    def __init__(
        self, offsets: Offsets, retention_s: float, clock: Callable[[], float], now_ms: Callable[[], int]
    ) -> None:
        self.retention_s = retention_s
        self._offsets = offsets
        self._clock = clock
        self._now_ms = now_ms
        self._history = LagHistory()
        self._ends: dict[int, int] = {}
        self._look = SharedLook(self._look_once)
        self._state = _NOT_LOOKED
        self._looked_at = clock()
        self._said = ("ok", 0.0)

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await self._look.latest(_PATIENCE_S)
            self._say()
            await asyncio.sleep(LOOK_S)

    async def looked(self, patience_s: float) -> None:
        """A look, at most a second old. Raises PipelineOffsetsError, TimeoutError."""
        failure = await self._look.latest(patience_s)
        if failure is None:
            raise TimeoutError
        if isinstance(failure, PipelineOffsetsError):
            raise failure

    def state(self) -> PipelineState:
        """As the last look saw it."""
        if self._state is not _NOT_LOOKED and self._clock() - self._looked_at > STANDS_S:
            return PipelineState("not known: Kafka does not answer", None, None, 0.0)
        return self._state

    async def _look_once(self) -> PipelineOffsetsError | bool:
        """Why Kafka does not tell where the events end; not raised, because nobody may wait for it any more."""
        try:
            told = await self._offsets.told_ends()
        except PipelineOffsetsError as error:
            self._unknown(error)
            return error
        try:
            progress = await self._offsets.progress()
            # what nobody leads takes nothing: it ends where it did
            self._ends |= {partition: end.end for partition, end in told.items()}
            self._history.see(self._clock(), dict(self._ends), progress)
            old = [place for place in self._history.older_than_all_looks() if place[0] in told]
            await self._ask_for_old(old[:_ASKED_AT_ONCE])
        except PipelineOffsetsError as error:
            self._unknown(error)
        else:
            self._looked_at = self._clock()
            self._state = self._judged([partition for partition in self._offsets.partitions if partition not in told])
        return True

    def _unknown(self, error: PipelineOffsetsError) -> None:
        self._looked_at = self._clock()
        self._state = PipelineState(f"not known: {error}", None, None, 0.0)

    async def _ask_for_old(self, places: Sequence[tuple[int, int]]) -> None:
        """A gateway that has just started has seen none of these come; their records have the broker's time."""
        if places:
            now, now_ms = self._clock(), self._now_ms()
            for place, at_ms in (await self._offsets.appended_at_ms(places)).items():
                self._history.came(*place, now - (now_ms - at_ms) / 1000)

    def _judged(self, silent: Sequence[int]) -> PipelineState:
        events, summaries = self._history.lag_s("events"), self._history.lag_s("summaries")
        standing, partitions = self._history.standing()
        state = "ok"
        if silent:
            state = f"no leader answers for {named(silent)} of the events: their traces take none, and reads are stale"
        elif partitions:
            state = f"stands: nothing moves for {STANDS_S:.0f} s or longer, while events wait"
        elif max(events, summaries) > PART_OF_RETENTION * self.retention_s:
            state = "behind by more than a tenth of Kafka's retention: what Kafka deletes before it is stored is lost"
        return PipelineState(state, events, summaries, standing)

    def _say(self) -> None:
        seen, now = self.state(), self._clock()
        said, at = self._said
        if seen.events_lag_s is None or seen.summaries_lag_s is None:
            return  # Kafka's silence has its own line
        if seen.state == said and (said == "ok" or now - at < _SAID_AGAIN_S):
            return
        self._said = seen.state, now
        if seen.state == "ok":
            log.warning("the pipeline is well again")
        else:
            log.warning(
                "the pipeline: %s; events are %.0f s behind, summaries %.0f s, and Kafka keeps them for %.0f s. "
                "Look at the logs of sinks and processors; a partition that is stuck: %s",
                seen.state,
                seen.events_lag_s,
                seen.summaries_lag_s,
                self.retention_s,
                ", ".join(map(str, self._history.standing()[1])) or "none",
            )
