"""A steady load of events, published to Kafka, that remembers what was acknowledged."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from axonstream.event_contract import EventInput
from axonstream.kafka.errors import NotAcknowledgedError
from axonstream.kafka.topics import Topics
from axonstream.producers.kafka_publisher import KafkaPublisher
from axonstream.settings.settings import Settings
from kit.until import until

TYPES = ("agent.error", "agent.tool_call.start", "agent.handoff", "agent.message", "custom")
BATCH = 20
PACE_S = 0.02
NEW_TRACE_EVERY = 10  # events
ALIVE = 30  # traces that get most of the events; the others get late ones


@dataclass
class EventLoad:
    """Traces come and go, one event in ten is late: of a trace that has had no events for a while."""

    publisher: KafkaPublisher
    chance: random.Random
    acknowledged: list[str] = field(default_factory=list[str])
    unknown: list[str] = field(default_factory=list[str])
    pace_s: float = PACE_S
    stopping: bool = False
    events_of: dict[str, int] = field(default_factory=dict[str, int])

    async def publish(self) -> None:
        """BATCH events every `pace_s`, at most, until `stopping`."""
        while not self.stopping:
            await self.publish_a_batch()
            await asyncio.sleep(self.pace_s)

    async def publish_a_batch(self) -> None:
        number = len(self.acknowledged) + len(self.unknown)
        events = [self._event(number + at) for at in range(BATCH)]
        keys = [event.dedup_key or "" for event in events]
        try:
            await self.publisher.publish_many(events)
        except NotAcknowledgedError:
            self.unknown += keys
            return
        self.acknowledged += keys
        for event in events:
            trace_id = event.trace_id or ""
            self.events_of[trace_id] = self.events_of.get(trace_id, 0) + 1

    def _event(self, number: int) -> EventInput:
        newest = number // NEW_TRACE_EVERY
        oldest = 0 if self.chance.random() < 0.1 else max(0, newest - ALIVE)
        return EventInput(
            identifier=f"step {number}",
            payload={"n": number},
            channel_id=1,
            trace_id=f"tr_{self.chance.randint(oldest, newest)}",
            event_type=self.chance.choice(TYPES),
            agent_id=self.chance.choice(["a", "b", "c"]),
            dedup_key=f"d{number}",
        )

    async def more(self, events: int, within_s: float = 60) -> None:
        """Wait until so many more are acknowledged."""
        goal = len(self.acknowledged) + events
        await until(lambda: len(self.acknowledged) >= goal, "the load goes on", within_s)


@asynccontextmanager
async def event_load(settings: Settings, seed: int, pace_s: float = PACE_S) -> AsyncGenerator[EventLoad]:
    """Publishes until the block ends: about a thousand events a second, unless another pace is given."""
    topic = Topics(settings.topic_prefix).events
    async with KafkaPublisher(
        bootstrap_servers=settings.kafka_bootstrap_servers, tenant_id="1", topic=topic
    ) as publisher:
        load = EventLoad(publisher, random.Random(seed), pace_s=pace_s)
        publishing = asyncio.create_task(load.publish())
        try:
            yield load
        finally:
            load.stopping = True
            await publishing
