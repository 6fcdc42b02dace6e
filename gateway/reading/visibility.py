"""Read your writes (guarantee G4): a read waits until what was acknowledged before it can be read, or says it is stale.

One poller serves every read of the process, and runs only while reads wait. Each turn asks Kafka at most two
questions, whatever the number of reads: where the partitions end (for reads that are new), and how far is visible.

A partition whose leader does not answer delays the reads of its own traces alone. A list spans all partitions: it does
not wait for one that has been silent for SILENT_S, and says that it is stale.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from axonstream.gateway.http.errors import UnavailableError
from axonstream.gateway.reading.pipeline_offsets import PipelineOffsetsError
from axonstream.gateway.reading.read_barrier import AskedEnd, ReadBarrier, WaitingRead
from axonstream.process.durations import Durations

log = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.005
SILENT_S = 1.0
_RETRY_INTERVAL_S = 0.1


class Offsets(Protocol):
    """What is needed of `axonstream.gateway.reading.pipeline_offsets.PipelineOffsets`."""

    @property
    def partitions(self) -> Iterable[int]: ...
    def partition_of(self, trace_id: str) -> int: ...
    async def told_ends(self) -> Mapping[int, AskedEnd]: ...
    async def visible(self) -> dict[int, int]: ...


@dataclass(frozen=True, slots=True)
class Freshness:
    """Whether a read sees all that was acknowledged before it. If not, `silent` are those of its partitions whose
    leaders do not answer."""

    is_fresh: bool
    silent: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return self.is_fresh


FRESH = Freshness(is_fresh=True)


class Visibility:
    """Lets reads wait, at most `wait_ms` each. `moved` is called when more has become visible while reads wait."""

    def __init__(self, offsets: Offsets, wait_ms: int, moved: Callable[[], None] = lambda: None) -> None:
        self._offsets = offsets
        self._moved = moved
        self._wait_s = wait_ms / 1000
        self.waited = Durations()  # of every read, those included for which the wait was not enough
        self._barrier = ReadBarrier()
        self._answers: dict[WaitingRead, asyncio.Future[Freshness]] = {}
        self._poller: asyncio.Task[None] | None = None
        self._failure: PipelineOffsetsError | None = None
        self._visible: dict[int, int] = {}
        self._untold_since: dict[int, float] = {}  # of partitions whose leaders did not answer when asked last
        self._ask_again_at = 0.0

    async def of_trace(self, trace_id: str) -> Freshness:
        """Fresh once the trace's partition is visible as of now; stale when the wait was not enough."""
        return await self._wait([self._offsets.partition_of(trace_id)], is_patient=True)

    async def of_everything(self) -> Freshness:
        """As `of_trace`, for all partitions; stale at once when all but silent ones are visible."""
        return await self._wait(self._offsets.partitions, is_patient=False)

    @property
    def waiting(self) -> int:
        """Reads that wait now."""
        return len(self._answers)

    async def close(self) -> None:
        """End the poller; no read may be waiting."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.wait([self._poller])

    async def _wait(self, partitions: Iterable[int], *, is_patient: bool) -> Freshness:
        """Raises UnavailableError when Kafka could not be asked within the wait."""
        began = monotonic()
        read = self._barrier.ask(partitions, began, is_patient=is_patient)
        answer = self._answers[read] = asyncio.get_running_loop().create_future()
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            await asyncio.wait([answer], timeout=self._wait_s)
            if answer.done():
                return answer.result()
            if not read.was_asked_for or self._failure is not None:
                raise UnavailableError(
                    f"Kafka cannot be asked what is visible: {self._failure or 'no answer in time'}",
                    "Ask again; the data is safe.",
                )
            return _stale(read)
        finally:
            self.waited.add(monotonic() - began)
            self._barrier.forget(read)
            del self._answers[read]

    async def _poll(self) -> None:
        try:
            while self._barrier:
                try:
                    await self._turn()
                    self._failure = None
                except PipelineOffsetsError as error:
                    if self._failure is None:  # once, not at each try
                        log.warning("%s: %r", error, error.__cause__)
                    self._failure = error
                    await asyncio.sleep(_RETRY_INTERVAL_S)
                    continue
                if self._barrier and not self._barrier.has_new():
                    await asyncio.sleep(POLL_INTERVAL_S)
        except Exception as defect:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(defect)
            raise

    async def _turn(self) -> None:
        untold = self._barrier.untold()
        if self._barrier.has_new() or (untold and monotonic() >= self._ask_again_at):
            await self._ask_for_ends()
        visible = await self._offsets.visible()
        if visible != self._visible:
            self._visible = visible
            self._moved()
        for read in self._barrier.release(visible):
            self._answers[read].set_result(FRESH)
        long_ago = monotonic() - SILENT_S
        silent = {partition for partition, since in self._untold_since.items() if since <= long_ago}
        for read in self._barrier.give_up(visible, silent):
            self._answers[read].set_result(_stale(read))

    async def _ask_for_ends(self) -> None:
        asked_at = monotonic()
        ends = await self._offsets.told_ends()
        self._barrier.tell(ends, asked_at)
        self._untold_since = {
            partition: self._untold_since.get(partition, asked_at)
            for partition in self._offsets.partitions
            if partition not in ends
        }
        if self._untold_since:
            self._ask_again_at = monotonic() + _RETRY_INTERVAL_S


def _stale(read: WaitingRead) -> Freshness:
    return Freshness(is_fresh=False, silent=tuple(sorted(read.untold)))
