"""A server that answers from a script, a clock that never waits, and one way to talk to both clients."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import httpx

EVENT = {
    "id": 7,
    "eventId": 7,
    "identifier": "web_search",
    "payload": {},
    "channelId": 1,
    "traceId": "tr_1",
    "eventType": "custom",
    "createdAt": "2026-01-31T12:00:00.000Z",
}


class Server:
    """Answers each request with the next of `script` (the last one again and again), and remembers the requests."""

    def __init__(self) -> None:
        self.script: Sequence[httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]] = []
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.script[min(len(self.requests), len(self.script)) - 1]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return answer(request)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests]


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    async def async_sleep(self, seconds: float) -> None:
        self.sleep(seconds)


class Ask(Protocol):
    """`ask(lambda client: client.traces.list())`: the result, awaited where the client is the async one."""

    def __call__(self, action: Callable[[Any], Any]) -> Any: ...


class MakeAsk(Protocol):
    def __call__(self, *, jitter: Callable[[], float] = ..., **options: Any) -> Ask: ...
