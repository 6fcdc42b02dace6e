"""How requests were answered: by method, route and status, all from closed sets, so that their number is bounded.

A route is its path as /openapi.json writes it; every path that is none of ours is one route.
"""

from __future__ import annotations

from collections import defaultdict
from time import monotonic

from starlette.types import Message, Send

from axonstream.process.durations import Durations

UNKNOWN_ROUTE = "unknown"
OTHER_METHOD = "other"
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
USUAL = (200, 201, 400, 401, 413, 415, 429, 500, 503)  # counted from 0 on, so that the first of them is seen to come

_STALE = (b"x-axonstream-stale", b"true")

Asked = tuple[str, str]  # method and route


class RequestCounts:
    """`durations` end with the answer's headers: what a slow reader takes afterwards is his, a stream has no end."""

    def __init__(self) -> None:
        self.answers: defaultdict[Asked, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))  # by status
        self.durations: defaultdict[Asked, Durations] = defaultdict(Durations)
        self.stale = 0

    def expect(self, asked: Asked) -> None:
        """Show the usual answers of a route before the first of them comes."""
        self.answers[asked].update(dict.fromkeys(USUAL, 0))

    def add(self, asked: Asked, status: int) -> None:
        """One answer begins."""
        self.answers[asked][status] += 1


class CountedSend:
    """`send` for one request: counts its answer when that begins, and times it where it is told when it `began`."""

    __slots__ = ("_asked", "_began", "_counts", "_send", "begun")

    def __init__(self, counts: RequestCounts, asked: Asked, send: Send, began: float | None) -> None:
        self._counts = counts
        self._asked = asked
        self._send = send
        self._began = began
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            self._counts.add(self._asked, message["status"])
            if self._began is not None:
                self._counts.durations[self._asked].add(monotonic() - self._began)
            if _STALE in message["headers"]:
                self._counts.stale += 1
        await self._send(message)
