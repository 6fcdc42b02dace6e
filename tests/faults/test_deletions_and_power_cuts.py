"""Kafka loses the markers of deletions that it had acknowledged, as a power cut takes them: the deletions hold."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.stream_processors.rebuild import order_rebuild
from kit.cut_logs import cut_last_batches
from kit.kafka_cluster import KafkaCluster
from kit.log_ends import log_ends
from kit.oracle import SETTLES_WITHIN_S, settled
from kit.running_stack import HEADERS, RunningStack, running_stack
from kit.sink_process import pipeline
from kit.until import until

pytestmark = pytest.mark.services

DELETING = "X-Axonstream-Deleting"


class Story:
    """What the test does over and over, at one gateway."""

    def __init__(self, http: httpx.AsyncClient, settings: Settings) -> None:
        self.http = http
        self.settings = settings

    async def publish(self, trace_id: str, number: int) -> None:
        for n in range(number):
            event = {"identifier": f"s{n}", "payload": {"n": n}, "channel_id": 1, "traceId": trace_id}
            answer = await self.http.post("/event", json=event)
            assert answer.status_code == 201, answer.text

    async def total(self, trace_id: str) -> int | None:
        """None while nothing of it is there; a read waits for what was published before."""
        answer = await self.http.get(f"/traces/{trace_id}/summary")
        return answer.json()["totalEvents"] if answer.status_code == 200 else None

    async def is_shown(self, trace_id: str, events: int) -> bool:
        """Until then it is being deleted; it is never shown with another number."""
        total = await self.total(trace_id)
        assert total in (None, events), f"{trace_id} is shown with {total} events"
        return total == events

    async def delete(self, path: str) -> None:
        answer = await self.http.delete(path)
        assert answer.status_code == 202, answer.text

    async def until_finished(self, trace_id: str) -> None:
        """From the answer of the deletion on, nothing of the trace is shown."""

        async def finished() -> bool:
            answer = await self.http.get(f"/traces/{trace_id}/events")
            assert answer.status_code == 404, answer.text
            return DELETING not in answer.headers

        await until(finished, f"{trace_id} is deleted", SETTLES_WITHIN_S)

    async def must_be_clean(self) -> None:
        found = await settled(self.settings, SETTLES_WITHIN_S)
        assert found.clean, found.findings


async def lose_markers(cluster: KafkaCluster, settings: Settings, markers: int) -> None:
    """Kill the broker, cut so many batches off each partition, and start it again."""
    [broker] = cluster.brokers.values()
    before = await log_ends(settings)
    broker.kill()
    for partition in range(settings.topic_partitions):
        end = cut_last_batches(broker.directory, Topics(settings.topic_prefix).events, partition, markers)
        assert end == before[partition] - markers
    broker.start()
    await cluster.until_ready()


@pytest.mark.parametrize(
    "finished",
    [pytest.param(True, id="finished in ClickHouse"), pytest.param(False, id="under way", marks=pytest.mark.soak)],
)
def test_a_deletion_holds_although_kafka_has_lost_its_markers(
    one_broker: KafkaCluster, one_broker_settings: Settings, tmp_path: Path, finished: bool
) -> None:
    """As after the power cut of one machine, all parts start again; the records of the deletions are on the disk."""
    settings = one_broker_settings.model_copy(update={"deletion_pause_s": 0.0})

    async def scenario(stack: RunningStack, test: Story) -> None:
        for trace in ("tr_stored", "tr_refused", "tr_other"):
            await test.publish(trace, 3)
            assert await test.total(trace) == 3
        await test.must_be_clean()
        if not finished:
            await stack.hold("sink-0")
        await test.delete("/traces/tr_stored?late=stored")
        await test.delete("/traces/tr_refused")
        if finished:
            await test.until_finished("tr_stored")
            await test.until_finished("tr_refused")
        for part in ("gateway-0", "processor-0", "sink-0"):
            await stack.hold(part)
        await lose_markers(one_broker, settings, 2)
        for part in ("sink-0", "processor-0", "gateway-0"):
            await stack.go_on(part)

        # each goes to offsets at which the lost markers stood, and beyond
        await test.publish("tr_new", 8)
        await test.publish("tr_stored", 2)
        late = {"identifier": "s", "payload": {}, "channel_id": 1, "traceId": "tr_refused"}
        assert (await test.http.post("/event", json=late)).status_code == 409
        await until(lambda: test.is_shown("tr_stored", 2), "the late events alone are shown", SETTLES_WITHIN_S)
        await test.until_finished("tr_refused")
        assert (await test.total("tr_new"), await test.total("tr_other")) == (8, 3)
        await test.must_be_clean()

        # the markers stand in the log again, so a fold from its start ends alike
        await order_rebuild(settings)
        await stack.restart("processor-0")
        await test.publish("tr_new", 1)
        assert (await test.total("tr_new"), await test.total("tr_stored")) == (9, 2)
        await test.must_be_clean()
        async with pipeline(settings) as pipe:
            counts = await pipe.query("SELECT trace_id, count() FROM events_log GROUP BY ALL ORDER BY ALL")
            assert counts == [("tr_new", 9), ("tr_other", 3), ("tr_stored", 2)]

    async def story() -> None:
        async with (
            running_stack(settings, tmp_path) as stack,
            httpx.AsyncClient(base_url=stack.urls[0], headers=HEADERS, timeout=30) as http,
        ):
            await scenario(stack, Story(http, settings))

    asyncio.run(story())
