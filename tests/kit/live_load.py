"""Events published straight to Kafka at a steady rate, and a reader that follows them from gateway to gateway."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic

import httpx

from axonstream.event_contract import EventInput
from axonstream.kafka.errors import NotAcknowledgedError
from axonstream.kafka.topics import Topics
from axonstream.producers.kafka_publisher import KafkaPublisher
from axonstream.settings.settings import Settings
from kit.live_events import LiveResponse, live
from kit.running_stack import HEADERS
from kit.until import until

BATCH = 40
LOST = (httpx.TransportError, EOFError, ConnectionError)


class LiveLoad:
    """`acknowledged` and `unknown` hold the identifiers of the events."""

    def __init__(self, publisher: KafkaPublisher, per_second: int, payload_bytes: int = 10) -> None:
        self._publisher = publisher
        self._pause_s = BATCH / per_second
        self._text = "x" * payload_bytes
        self._numbers = itertools.count()
        self.acknowledged: list[str] = []
        self.unknown: set[str] = set()

    async def publish(self, stop: asyncio.Event) -> None:
        """At the load's rate, until `stop`."""
        due = monotonic()
        while not stop.is_set():
            await self.publish_batch()
            due = max(due + self._pause_s, monotonic() - 1)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - monotonic())):
                    await stop.wait()

    async def publish_batch(self) -> None:
        names = [str(next(self._numbers)) for _ in range(BATCH)]
        events = [
            EventInput(
                identifier=name,
                payload={"text": self._text},
                channel_id=1,
                trace_id=f"tr_{int(name) % 50}",
                dedup_key=f"key {name}",
            )
            for name in names
        ]
        try:
            await self._publisher.publish_many(events)
        except NotAcknowledgedError:
            self.unknown.update(names)
        else:
            self.acknowledged += names


class Follower:
    """Reads /live, and goes on at the next gateway when a connection is lost."""

    def __init__(self, urls: Sequence[str], path: str = "/live") -> None:
        self._urls = itertools.cycle([url + path for url in urls])
        self.url = ""
        self.received: list[str] = []
        self.gaps: list[dict[str, object]] = []
        self.connections = 0
        self.comments = 0
        self.position: str | None = None
        self.open = asyncio.Event()

    async def follow(self) -> None:
        """Until it is cancelled."""
        async with httpx.AsyncClient(headers=HEADERS, timeout=60) as client:
            for url in self._urls:
                self.url = url
                with suppress(*LOST):
                    async with live(client, url, self.position) as stream:
                        self.connections += 1
                        self.position = stream.position or self.position
                        self.open.set()
                        await self._read(stream)
                await asyncio.sleep(0.05)

    async def _read(self, stream: LiveResponse) -> None:
        before = self.comments
        while True:
            received = await stream.next(60)
            self.comments = before + stream.comments
            self.position = received.position
            if received.event == "message":
                self.received.append(received.data["identifier"])
            else:
                self.gaps.append(received.data)

    async def until_connected(self, connections: int) -> None:
        """So many connections have been made."""
        await until(lambda: self.connections >= connections, f"connection {connections} is made", 60)

    async def until_received(self, more: int) -> None:
        """So many more events have come."""
        goal = len(self.received) + more
        await until(lambda: len(self.received) >= goal, f"{more} more events received", 60)

    def check(self, load: LiveLoad) -> None:
        """Everything acknowledged came, once; nothing else but what was neither acknowledged nor refused."""
        assert len(set(self.received)) == len(self.received), "an event came twice"
        missing = set(load.acknowledged) - set(self.received)
        assert not missing, f"{len(missing)} of {len(load.acknowledged)} are missing"
        assert set(self.received) <= {*load.acknowledged, *load.unknown}


@asynccontextmanager
async def live_load(settings: Settings, per_second: int, payload_bytes: int = 10) -> AsyncGenerator[LiveLoad]:
    """A load that publishes when it is told to."""
    topic = Topics(settings.topic_prefix).events
    async with KafkaPublisher(
        bootstrap_servers=settings.kafka_bootstrap_servers, tenant_id="1", topic=topic
    ) as publisher:
        yield LiveLoad(publisher, per_second, payload_bytes)
