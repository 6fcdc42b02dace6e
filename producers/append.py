"""One caller's records on their way to Kafka, and what becomes of them after the caller was answered."""

from __future__ import annotations

import asyncio


class Append:
    """One caller's records. `ended` is done when all are acknowledged, or the first is not: `failure` says why.

    The future has no exception: that would hold the caller's frame, and so its records, until a garbage collection.
    """

    __slots__ = ("_acknowledged", "_settled", "ended", "ends_at", "failure", "left", "partitions_changed", "under_way")

    def __init__(self, ended: asyncio.Future[None], records: int, ends_at: float) -> None:
        self.ended = ended
        self.left = records
        self.under_way = 0
        self.ends_at = ends_at
        self.failure = ""
        self.partitions_changed = False
        self._acknowledged: list[tuple[list[int], int | None]] = []
        self._settled: asyncio.Future[None] | None = None

    def acknowledge(self, places: list[int], at_ms: int | None) -> None:
        """These of its records are on Kafka, which took them at `at_ms` by its clock; None where it does not say."""
        self.left -= len(places)
        self.under_way -= len(places)
        self._acknowledged.append((places, at_ms))
        if not self.left and not self.ended.done():
            self.ended.set_result(None)
        self._settle()

    def refuse(self, places: list[int], message: str) -> None:
        """Kafka's answer for these is an error."""
        self.under_way -= len(places)
        self.fail(message)
        self._settle()

    def fail(self, message: str) -> None:
        """The caller is told; what of its records still waits is not sent any more."""
        if not self.ended.done():
            self.failure = message
            self.ended.set_result(None)

    def may_be_stored(self) -> bool:
        """See `axonstream.kafka.errors.Fate`."""
        return self.under_way > 0 or bool(self._acknowledged)

    @property
    def at_ms(self) -> int | None:
        """When Kafka took the records of its last batch."""
        return self._acknowledged[-1][1]

    async def stored(self) -> dict[int, int | None]:
        """See `axonstream.kafka.errors.Fate`; for a caller that was told."""
        if self.under_way:
            if self._settled is None:
                self._settled = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._settled)
        return {place: at_ms for places, at_ms in self._acknowledged for place in places}

    def _settle(self) -> None:
        if self._settled is not None and not self.under_way:
            self._settled.set_result(None)
            self._settled = None
