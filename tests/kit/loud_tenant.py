"""One tenant at full load, as a process of its own: it publishes, reads and streams as fast as it is answered.

`python -m kit.loud_tenant URL SECONDS` prints "loading" once its streams are open, and what was answered at the end.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections import Counter
from contextlib import AsyncExitStack
from time import monotonic

import aiohttp
import orjson

from kit.running_stack import HEADERS

SINGLE, BULK, LISTS, WHOLE, STREAMS = 8, 6, 12, 10, 100
EVENTS_OF_A_BULK = 200
_TRACES = 500
_REFUSED_PAUSE_S = 0.05
_LISTS = ("/traces?limit=1000", "/events?limit=1000", "/events?since=0&agentId=nobody", "/event/1/list?limit=1000")
_UNREAD = aiohttp.ClientTimeout(total=None)


class LoudTenant:
    """`answers` counts by call and status; `events` those acknowledged."""

    def __init__(self, session: aiohttp.ClientSession, ends_at: float) -> None:
        self._session = session
        self._ends_at = ends_at
        self._numbers = itertools.count()
        self.answers: Counter[str] = Counter()
        self.events = 0

    async def run(self) -> None:
        """Until the time is up."""
        async with AsyncExitStack() as streams:
            for number in range(STREAMS):
                await self._follow(streams, f"/live?agent={number % 50}" if number % 10 else "/live")
            print("loading", flush=True)
            async with asyncio.TaskGroup() as group:
                for _ in range(SINGLE):
                    group.create_task(self._again("/event", 1))
                for _ in range(BULK):
                    group.create_task(self._again("/events", EVENTS_OF_A_BULK))
                for number in range(LISTS):
                    group.create_task(self._again(_LISTS[number % len(_LISTS)], 0))
                for number in range(WHOLE):
                    group.create_task(self._again(f"/traces/loud{number}/events", 0))

    async def _follow(self, streams: AsyncExitStack, path: str) -> None:
        answer = await streams.enter_async_context(self._session.get(path, timeout=_UNREAD))
        self.answers[f"live {answer.status}"] += 1
        reading = asyncio.create_task(_read(answer))
        streams.callback(reading.cancel)

    async def _again(self, path: str, events: int) -> None:
        while monotonic() < self._ends_at:
            body = self._body(path, events) if events else None
            async with self._session.request("POST" if events else "GET", path, data=body) as answer:
                await answer.read()
            self.answers[f"{path.partition('?')[0] if events else 'read'} {answer.status}"] += 1
            if answer.ok:
                self.events += events
            else:
                await asyncio.sleep(_REFUSED_PAUSE_S)

    def _body(self, path: str, events: int) -> bytes:
        made = [
            {
                "identifier": "step",
                "channel_id": 1,
                "traceId": f"loud{number % _TRACES}",
                "agentId": str(number % 50),
                "dedupKey": f"key {number}",
                "payload": {"text": "x" * 200, "number": number},
            }
            for number in itertools.islice(self._numbers, events)
        ]
        return orjson.dumps(made[0] if path == "/event" else made)


async def _read(answer: aiohttp.ClientResponse) -> None:
    async for _ in answer.content.iter_any():
        pass


async def main(url: str, seconds: float) -> None:
    """The load of one tenant on one gateway."""
    async with aiohttp.ClientSession(
        url, headers=HEADERS, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=120)
    ) as session:
        load = LoudTenant(session, monotonic() + seconds)
        await load.run()
    print(orjson.dumps({"events": load.events, "answers": load.answers}).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
