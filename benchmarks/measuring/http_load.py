"""A load generator as a process of its own: keep-alive connections, one request at a time on each, bodies made before.

Prints "loading" when the clock starts, and one JSON object at the end. Paced when `events_a_second` is given.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from itertools import cycle
from time import monotonic, process_time
from typing import Any, cast

import orjson
import uvloop

from benchmarks.measuring.sample_events import body_of, event_fields, trace_id
from benchmarks.peers.job import LoadJob, say, told

_HEAD = (
    b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: ak_local\r\nx-tenant-id: 1\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
_MOST_BODIES = 5000
_STREAMS = 100_000
_MARK = b"REQUEST-"  # in every dedup key; becomes the request's number


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it: `refused` counts every answer that is no 2xx; `cpu_s` is the generator's own."""

    requests: int
    refused: int
    seconds: float
    cpu_s: float
    p50_ms: float
    p99_ms: float
    longest_ms: float


def requests_of(job: LoadJob) -> list[bytes]:
    """Whole requests, over and over the same ones when there are very many; only their dedup keys differ then."""
    made: list[bytes] = []
    number = 0
    for _ in range(min(job.requests, max(1, _MOST_BODIES // job.events_a_request))):
        events: list[dict[str, Any]] = []
        for _ in range(job.events_a_request):
            event = event_fields(number, trace_id(number % _STREAMS))
            event["dedupKey"] = f"{_MARK.decode()}{number:024x}"
            events.append(event)
            number += 1
        body = body_of(events[0]) if job.path == "/event" else b"\n".join(map(body_of, events))
        made.append(_HEAD % (job.path.encode(), len(body)) + body)
    return made


class _Connection(asyncio.Protocol):
    """Sends a request, waits for the whole answer, sends the next."""

    def __init__(self) -> None:
        self._answer = b""
        self._waiting: asyncio.Future[bytes] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head_end = self._answer.find(b"\r\n\r\n")
        if head_end < 0 or self._waiting is None:
            return
        at = self._answer.find(b"content-length: ") + 16
        length = int(self._answer[at : self._answer.find(b"\r\n", at)])
        if len(self._answer) >= head_end + 4 + length:
            answer, self._answer = self._answer, b""
            self._waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionError("the gateway closed the connection"))

    async def ask(self, request: bytes) -> bytes:
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._waiting


async def run(job: LoadJob) -> Load:
    bodies = cycle(requests_of(job))
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(_Connection, "127.0.0.1", job.port))[1] for _ in range(job.connections)
    ]
    times: list[float] = []
    refused = 0
    left = job.requests
    say("loading")
    started, cpu = monotonic(), process_time()

    async def work(connection: _Connection) -> None:
        nonlocal left, refused
        while left > 0:
            number = job.requests - left
            left -= 1
            if job.events_a_second:
                due = started + number * job.events_a_request / job.events_a_second
                await asyncio.sleep(max(0.0, due - monotonic()))
            asked = monotonic()
            answer = await connection.ask(next(bodies).replace(_MARK, b"%08d" % number))
            times.append(monotonic() - asked)
            refused += not answer.startswith(b"HTTP/1.1 20")

    await asyncio.gather(*(work(connection) for connection in connections))
    seconds = monotonic() - started
    times.sort()
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    return Load(job.requests, refused, seconds, process_time() - cpu, p50 * 1000, p99 * 1000, times[-1] * 1000)


if __name__ == "__main__":
    say(orjson.dumps(asdict(uvloop.run(run(told(LoadJob))))).decode())
