"""Publishers that keep publishing whatever happens, and readers that hold the answers to what was acknowledged."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from uuid import uuid4

import httpx

from axonstream.event_contract import EventType
from axonstream.kafka.errors import NotAcknowledgedError
from axonstream.kafka.topics import Topics
from axonstream.producers.kafka_publisher import KafkaPublisher
from axonstream.settings.settings import Settings
from kit.running_stack import HEADERS
from kit.until import until

TRIES = 3  # of one event with one dedup key, after answers that acknowledge nothing
PAUSE_S, PAUSE_IN_A_SOAK_S = 0.05, 0.01  # of each publisher and reader, after each request


class PublishingLoad:
    """Events of a few traces, each with a dedup key of its own, over HTTP and straight to Kafka.

    `acknowledged` and `unknown` hold dedup keys. `problems` says what must never be: an answer that is neither a 2xx
    nor a 503 with Retry-After; a fresh summary that lacks what was acknowledged before it was asked for, or goes back.
    """

    def __init__(self, urls: Sequence[str], settings: Settings, traces: int = 6, *, pause_s: float = PAUSE_S) -> None:
        self._pause_s = pause_s
        self.urls = urls
        self.settings = settings
        self.traces = [f"tr_{uuid4().hex[:16]}" for _ in range(traces)]
        self.acknowledged: set[str] = set()
        self.unknown: set[str] = set()
        self.problems: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.slowest_answer_s = 0.0
        self.reads = 0
        self.reads_put_off = 0
        self._numbers = itertools.count()
        self._acknowledged_of: defaultdict[str, set[str]] = defaultdict(set)
        self._seen_of: Counter[str] = Counter()

    async def until_every_trace_gains(self, more: int, deadline_s: float) -> float:
        """`more` events of each trace are acknowledged from now on; the seconds that took."""
        goals = {trace: len(self._acknowledged_of[trace]) + more for trace in self.traces}
        return await until(
            lambda: all(len(self._acknowledged_of[trace]) >= goal for trace, goal in goals.items()),
            f"{more} more events of each trace acknowledged",
            deadline_s,
        )

    async def check_every_trace(self, deadline_s: float) -> None:
        """At every gateway: the summary of each trace is read, fresh, and as large as was acknowledged."""
        async with httpx.AsyncClient(headers=HEADERS, timeout=60) as client:
            for url, trace in itertools.product(self.urls, self.traces):
                if self._acknowledged_of[trace]:
                    await until(
                        lambda url=url, trace=trace: self._read(client, url, trace), f"{trace} at {url}", deadline_s
                    )

    @asynccontextmanager
    async def running(self, http: int = 4, direct: int = 1, readers: int = 1) -> AsyncGenerator[None]:
        """So many publishers and readers at once for a block of code; each finishes what it has begun."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._publish_over_http(number, stop)) for number in range(http)]
            tasks += [group.create_task(self._publish_to_kafka(stop)) for _ in range(direct)]
            tasks += [group.create_task(self._read_over_http(number, stop)) for number in range(readers)]
            try:
                yield
            finally:
                stop.set()

    async def _publish_over_http(self, number: int, stop: asyncio.Event) -> None:
        urls = itertools.cycle([*self.urls[number % len(self.urls) :], *self.urls[: number % len(self.urls)]])
        async with httpx.AsyncClient(headers=HEADERS, timeout=60) as client:
            while not stop.is_set():
                trace, key, kind = self._next()
                event = {"identifier": key, "payload": {"key": key}, "channel_id": 1, "eventType": kind}
                event |= {"traceId": trace, "dedupKey": key, "agentId": f"agent-{number}"}
                for _ in range(TRIES):
                    if await self._post(client, next(urls), event):
                        self._acknowledge(trace, key)
                        break
                await asyncio.sleep(self._pause_s)

    async def _post(self, client: httpx.AsyncClient, url: str, event: Mapping[str, object]) -> bool:
        started = monotonic()
        try:
            answer = await client.post(f"{url}/event", json=event)
        except httpx.TransportError:  # a gateway that is being killed
            await asyncio.sleep(self._pause_s)
            return False
        self.slowest_answer_s = max(self.slowest_answer_s, monotonic() - started)
        self.statuses[answer.status_code] += 1
        if answer.status_code == 503 and answer.headers.get("Retry-After", "").isdecimal():
            return False
        if answer.status_code != 201:
            self.problems.append(f"{answer.status_code}: {answer.text[:300]}")
        return answer.status_code == 201

    async def _publish_to_kafka(self, stop: asyncio.Event) -> None:
        publisher = KafkaPublisher(
            bootstrap_servers=self.settings.kafka_bootstrap_servers,
            tenant_id="1",
            topic=Topics(self.settings.topic_prefix).events,
            timeout_ms=self.settings.publish_timeout_ms,
        )
        async with publisher:
            while not stop.is_set():
                trace, key, kind = self._next()
                for _ in range(TRIES):
                    try:
                        await publisher.publish(
                            key, {"key": key}, 1, event_type=kind, trace_id=trace, dedup_key=key, agent_id="direct"
                        )
                    except NotAcknowledgedError:
                        continue
                    self._acknowledge(trace, key)
                    break
                await asyncio.sleep(self._pause_s)

    async def _read_over_http(self, number: int, stop: asyncio.Event) -> None:
        async with httpx.AsyncClient(headers=HEADERS, timeout=60) as client:
            for turn in itertools.count(number):
                if stop.is_set():
                    return
                await self._read(client, self.urls[turn % len(self.urls)], self.traces[turn % len(self.traces)])
                await asyncio.sleep(self._pause_s)

    async def _read(self, client: httpx.AsyncClient, url: str, trace: str) -> bool:
        """Whether the answer was fresh. Of a fresh answer: it has what was acknowledged, and what was seen before."""
        owed = max(len(self._acknowledged_of[trace]), self._seen_of[trace])
        try:
            answer = await client.get(f"{url}/traces/{trace}/summary?events=0")
        except httpx.TransportError:
            return False
        if answer.status_code == 503 or "X-Axonstream-Stale" in answer.headers:
            self.reads_put_off += 1
            return False
        found = answer.json()["totalEvents"] if answer.status_code == 200 else 0
        if answer.status_code not in (200, 404) or found < owed:
            self.problems.append(f"{trace} at {url}: {owed} events owed, {answer.status_code} with {found}")
        self.reads += 1
        self._seen_of[trace] = max(self._seen_of[trace], found)
        return True

    def _next(self) -> tuple[str, str, EventType]:
        number = next(self._numbers)
        key = f"event-{number}"
        self.unknown.add(key)
        kind = EventType.AGENT_ERROR if number % 7 == 0 else EventType.AGENT_TOOL_CALL_START
        return self.traces[number % len(self.traces)], key, kind

    def _acknowledge(self, trace: str, key: str) -> None:
        self.unknown.discard(key)
        self.acknowledged.add(key)
        self._acknowledged_of[trace].add(key)
