"""Output that is sent only once other output is acknowledged, in the order in which it was queued.

So the changelog never says more than trace-summaries: when a state counts an event, what the event did to its trace's
steps is on Kafka, and need not be remembered in the state (I18).
"""

from __future__ import annotations

from asyncio import Future
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from axonstream.stream_processors.errors import BrokenInvariantError

Place = TypeVar("Place", bound=Hashable)
Batch = TypeVar("Batch")
Futures = Sequence["Future[Any]"]


class QueueInTurn(Generic[Place, Batch]):
    """`send` puts a batch on a place, at once, and returns the acknowledgement to come."""

    def __init__(self, send: Callable[[Place, Batch], Future[Any]]) -> None:
        self._send = send
        self._waiting: dict[Place, deque[tuple[Futures, Sequence[Batch], Futures]]] = {}
        self._broken: set[Place] = set()

    def queue(self, place: Place, batches: Sequence[Batch], after: Futures = ()) -> list[Future[Any]]:
        """Send `batches` when all of `after` is acknowledged, and what was queued here for this place before is sent.

        Returns the acknowledgements to come. When one of `after` fails, these fail with it, and nothing more is sent to
        the place.
        """
        waiting = self._waiting.setdefault(place, deque())
        if place in self._broken:
            raise BrokenInvariantError("what must come before this output was not stored")
        if not batches or not (after or waiting):
            return [self._send(place, batch) for batch in batches]
        loop = (after or waiting[-1][2])[0].get_loop()
        told: tuple[Future[Any], ...] = tuple(loop.create_future() for _ in batches)
        waiting.append((tuple(after), tuple(batches), told))
        for acknowledged in after:
            acknowledged.add_done_callback(partial(self._next, place))
        self._next(place)
        return list(told)

    def _next(self, place: Place, _: Future[Any] | None = None) -> None:
        waiting = self._waiting[place]
        while waiting and all(acknowledged.done() for acknowledged in waiting[0][0]):
            after, batches, told = waiting.popleft()
            if place in self._broken or any(done.cancelled() or done.exception() for done in after):
                self._broken.add(place)
                for future in told:
                    if not future.done():
                        future.set_exception(BrokenInvariantError("what must come before this output was not stored"))
                continue
            for batch, future in zip(batches, told, strict=True):
                self._send(place, batch).add_done_callback(partial(_tell, future))


def _tell(future: Future[Any], done: Future[Any]) -> None:
    if future.done():
        return
    if done.cancelled():
        future.cancel()
    elif (error := done.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(done.result())
