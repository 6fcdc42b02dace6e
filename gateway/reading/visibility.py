"""Read your writes (guarantee G4): a read waits until what was acknowledged before it can be read, or says it is stale.

One poller serves every read of the process, and runs only while reads wait. Each turn asks Kafka at most two
questions, whatever the number of reads: where the partitions end (for reads that are new), and how far is visible.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Protocol

from gateway.errors import UnavailableError
from gateway.reading.pipeline_offsets import PipelineOffsetsError
from gateway.reading.read_barrier import ReadBarrier, WaitingRead
from producers.durations import Durations

log = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.005
_RETRY_INTERVAL_S = 0.1


class Offsets(Protocol):
    """What is needed of `gateway.reading.pipeline_offsets.PipelineOffsets`."""

    def partition_of(self, trace_id: str) -> int: ...
    async def ends(self) -> dict[int, int]: ...
    async def visible(self) -> dict[int, int]: ...


class Visibility:
    """Lets reads wait, at most `wait_ms` each. `moved` is called when more has become visible while reads wait."""

    def __init__(self, offsets: Offsets, wait_ms: int, moved: Callable[[], None] = lambda: None) -> None:
        self._offsets = offsets
        self._moved = moved
        self._wait_s = wait_ms / 1000
        self.waited = Durations()  # of every read, those included for which the wait was not enough
        self._barrier = ReadBarrier()
        self._answers: dict[WaitingRead, asyncio.Future[None]] = {}
        self._poller: asyncio.Task[None] | None = None
        self._failure: PipelineOffsetsError | None = None
        self._visible: dict[int, int] = {}

    async def of_trace(self, trace_id: str) -> bool:
        """True once the trace's partition is visible as of now; False when the wait was not enough (stale)."""
        return await self._wait([self._offsets.partition_of(trace_id)])

    async def of_everything(self) -> bool:
        """As `of_trace`, for all partitions."""
        return await self._wait(None)

    @property
    def waiting(self) -> int:
        """Reads that wait now."""
        return len(self._answers)

    async def close(self) -> None:
        """End the poller; no read may be waiting."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.wait([self._poller])

    async def _wait(self, partitions: Iterable[int] | None) -> bool:
        """Raises UnavailableError when Kafka could not be asked within the wait."""
        began, read = monotonic(), self._barrier.ask(partitions)
        answer = self._answers[read] = asyncio.get_running_loop().create_future()
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            await asyncio.wait([answer], timeout=self._wait_s)
            if answer.done():
                answer.result()
                return True
            if read.targets is None or self._failure is not None:
                raise UnavailableError(
                    f"Kafka cannot be asked what is visible: {self._failure or 'no answer in time'}",
                    "Ask again; the data is safe.",
                )
            return False
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
                if self._barrier and not self._barrier.begin_round():
                    await asyncio.sleep(POLL_INTERVAL_S)
        except Exception as defect:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(defect)
            raise

    async def _turn(self) -> None:
        new = self._barrier.begin_round()
        if new:
            self._barrier.set_targets(new, await self._offsets.ends())
        visible = await self._offsets.visible()
        if visible != self._visible:
            self._visible = visible
            self._moved()
        for read in self._barrier.release(visible):
            self._answers[read].set_result(None)
