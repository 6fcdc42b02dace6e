"""How requests were answered: by method, route and status, all from closed sets, so that their number is bounded.

A route is its path as /openapi.json writes it; every path that is none of ours is one route. Publishing is counted by
`direct_call.DirectCall`, which these counts would cost too much.
"""

from __future__ import annotations

from collections import defaultdict
from time import monotonic

from starlette.routing import Route
from starlette.types import Message, Scope, Send

from axonstream.process.durations import Durations

UNKNOWN_ROUTE = "unknown"
OTHER_METHOD = "other"
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

_STALE = (b"x-axonstream-stale", b"true")


class RequestCounts:
    """`durations` end with the answer's headers: what a slow reader takes afterwards is his, a stream has no end."""

    def __init__(self) -> None:
        self.answers: defaultdict[tuple[str, str, int], int] = defaultdict(int)  # by method, route and status
        self.durations: defaultdict[tuple[str, str], Durations] = defaultdict(Durations)  # by method and route
        self.stale = 0

    def counting(self, scope: Scope, send: Send) -> Send:
        """`send`, which counts the answer to this request, which begins now."""
        began = monotonic()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._count(scope, message, monotonic() - began)
            await send(message)

        return counted

    def _count(self, scope: Scope, start: Message, seconds: float) -> None:
        found = scope.get("route")  # the router has set it
        route = found.path_format if isinstance(found, Route) else UNKNOWN_ROUTE
        method = scope["method"] if scope["method"] in METHODS else OTHER_METHOD
        self.answers[method, route, start["status"]] += 1
        self.durations[method, route].add(seconds)
        if _STALE in start["headers"]:
            self.stale += 1
