"""A partition that nobody leads: reads of its own traces say so, lists say what they lack, and all others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from axonstream.kafka.partitioner import partition_of
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from kit.kafka_cluster import KafkaBroker, KafkaCluster
from kit.oracle import judge
from kit.running_stack import HEADERS, running_stack
from kit.until import until

pytestmark = pytest.mark.services

OTHERS = {"X-API-Key": "ak_other", "x-tenant-id": "2"}
READ_WAIT_MS = 4000
PUBLISH_TIMEOUT_MS = 3000
LATE_S = 1.5  # beyond a deadline, on a busy machine
USUAL_S = READ_WAIT_MS / 1000 / 2  # of a publish and a read after it, which take some 50 ms: not the wait for a leader
ROUNDS = 60
HEALS_S = 60.0
SICK, HEALTHY = 0, 1
_LOG_TIME = {"message.timestamp.type": "LogAppendTime"}


def traces_of(partition: int) -> list[str]:
    """Two of them."""
    names = (name for name in (f"tr_{number}" for number in count()) if partition_of(name.encode(), 2) == partition)
    return [next(names), next(names)]


@dataclass
class Client:
    """Publishes, reads, and knows of every trace how many of its events were acknowledged."""

    http: httpx.AsyncClient
    acknowledged: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    async def publish(self, trace: str) -> int:
        keys = self.acknowledged.setdefault(trace, [])
        sent: dict[str, Any] = {
            "identifier": "a",
            "payload": {},
            "channel_id": 1,
            "traceId": trace,
            "dedupKey": uuid4().hex,
        }
        answer = await self.http.post("/event", json=sent)
        if answer.is_success:
            keys.append(sent["dedupKey"])
        return answer.status_code

    async def get(self, path: str, headers: dict[str, str] = HEADERS) -> tuple[httpx.Response, float]:
        began = monotonic()
        answer = await self.http.get(path, headers=headers)
        return answer, monotonic() - began

    async def reads_what_it_wrote(self, trace: str) -> float:
        """Every way to read one trace shows all of it, fresh; the seconds of the slowest."""
        assert await self.publish(trace) == 201
        slowest = 0.0
        for path in (f"/traces/{trace}/summary?events=0", f"/traces/{trace}/events", f"/events?traceId={trace}"):
            answer, took = await self.get(path)
            assert answer.status_code == 200, answer.text
            assert "X-Axonstream-Stale" not in answer.headers, path
            found: Any = answer.json()
            shown = found["totalEvents"] if "summary" in path else len(found["events"] if "?" in path else found)
            assert shown == min(len(self.acknowledged[trace]), 100 if "?t" in path else 1 << 30)
            slowest = max(slowest, took)
        return slowest

    async def is_fresh(self, path: str) -> bool:
        answer, _ = await self.get(path)
        return answer.status_code == 200 and "X-Axonstream-Stale" not in answer.headers


async def _other_than_the_coordinators(cluster: KafkaCluster, topics: Topics) -> KafkaBroker:
    """Whose death does not stop sink and processor for all partitions, until their groups have another coordinator."""
    busy: list[KafkaBroker] = []

    async def are_found() -> bool:  # the topic of the offsets is made when it is asked for first
        with suppress(KafkaError):
            busy[:] = [await cluster.coordinator_of(group) for group in (topics.sink_group, topics.processor_app)]
        return bool(busy)

    await until(are_found, "the groups have coordinators", HEALS_S)
    return next(broker for broker in cluster.brokers.values() if broker not in busy)


async def _make_topics(cluster: KafkaCluster, topics: Topics, sick: int) -> None:
    """Of the events, each partition is on one broker alone. The others than `sick` lead everything else."""
    well = [node for node in cluster.brokers if node != sick]
    spread = {0: [*well, sick], 1: [*reversed(well), sick]}
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
    await admin.start()
    try:
        compacted = {"cleanup.policy": "compact"}
        made: Any = await admin.create_topics(
            [
                NewTopic(topics.events, -1, -1, {SICK: [sick], HEALTHY: well[:1]}, _LOG_TIME),
                NewTopic(topics.summaries, -1, -1, spread, _LOG_TIME),
                NewTopic(topics.changelog, -1, -1, spread, _LOG_TIME | compacted),
                NewTopic(topics.control, -1, -1, {0: spread[0]}, _LOG_TIME | compacted),
            ]
        )
        assert not any(code for _, code, *_ in made.topic_errors), made
    finally:
        await admin.close()


@asynccontextmanager
async def _stack(
    cluster: KafkaCluster, clickhouse_url: str, directory: Path
) -> AsyncGenerator[tuple[Settings, Client, KafkaBroker]]:
    name = uuid4().hex[:8]
    settings = Settings(
        kafka_bootstrap_servers=cluster.bootstrap_servers,
        topic_replication_factor=3,
        topic_partitions=2,
        topic_prefix=f"t{name}-",
        clickhouse_url=clickhouse_url,
        clickhouse_database=f"t{name}",
        publish_timeout_ms=PUBLISH_TIMEOUT_MS,
        read_wait_ms=READ_WAIT_MS,
        api_keys=SecretStr("ak_local=1,ak_other=2"),
        data_dir=directory,
        log_level="WARNING",
    )
    topics = Topics(settings.topic_prefix)
    sick = await _other_than_the_coordinators(cluster, topics)
    await _make_topics(cluster, topics, sick.node)
    async with (
        running_stack(settings, directory) as stack,
        httpx.AsyncClient(base_url=stack.urls[0], headers=HEADERS, timeout=30) as http,
    ):
        yield settings, Client(http), sick


async def _says_what_it_lacks(client: Client, sick: list[str], healthy: list[str]) -> None:
    """Each read of the sick partition, within the time that a read may wait."""
    in_time = READ_WAIT_MS / 1000 + LATE_S
    for path in (f"/traces/{sick[0]}/summary", f"/traces/{sick[0]}/events", f"/events?traceId={sick[0]}"):
        answer, took = await client.get(path)
        assert (answer.status_code, answer.headers.get("X-Axonstream-Stale")) == (200, "true"), answer.text
        assert took < in_time
    answer, took = await client.get(f"/traces/{sick[1]}/summary")
    assert answer.status_code == 503, "nothing is known of this trace: it may be there"
    assert f"no leader answers for partition {SICK} of the events" in answer.json()["message"]
    assert took < in_time
    assert (await client.get(f"/traces/{healthy[1]}/summary"))[0].status_code == 404
    for path in ("/traces", "/events?limit=1000", "/event/1/list?limit=1000"):
        answer, took = await client.get(path)
        assert (answer.status_code, answer.headers.get("X-Axonstream-Stale")) == (200, "true"), answer.text
        assert took < USUAL_S
        assert sick[0] in answer.text
        assert healthy[0] in answer.text
    answer, took = await client.get("/traces", OTHERS)
    assert answer.status_code == 503, "this tenant may have traces in the sick partition"
    assert took < USUAL_S
    ready = (await client.get("/health/ready"))[0]
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")


@pytest.mark.parametrize("fault", ["killed", pytest.param("frozen", marks=pytest.mark.soak)])
def test_a_partition_without_a_leader_costs_only_the_reads_of_its_own_traces(
    fault: str, three_brokers: KafkaCluster, clickhouse_url: str, tmp_path: Path
) -> None:
    """Every read asked all partitions where they end: one that nobody leads failed all of them, and readiness."""
    sick, healthy = traces_of(SICK), traces_of(HEALTHY)

    async def scenario(cluster: KafkaCluster) -> None:
        async with _stack(cluster, clickhouse_url, tmp_path) as (settings, client, broker):
            for trace in (sick[0], healthy[0]):
                await client.reads_what_it_wrote(trace)
            await until(lambda: client.is_fresh("/traces"), "the list is fresh", HEALS_S)
            assert await client.publish(healthy[0]) == 201
            if fault == "killed":
                broker.kill()
            else:
                broker.freeze()
            # Until the controller has noticed, nothing is acknowledged that this broker has a copy of, as commits.
            await until(lambda: client.is_fresh(f"/traces/{healthy[0]}/summary"), "all others go on", HEALS_S)
            publishing = asyncio.create_task(client.publish(sick[0]))
            times = [await client.reads_what_it_wrote(healthy[0]) for _ in range(ROUNDS)]
            assert max(times) < USUAL_S
            assert await publishing == 503
            await _says_what_it_lacks(client, sick, healthy)
            times = [await client.reads_what_it_wrote(healthy[0]) for _ in range(ROUNDS // 3)]
            assert max(times) < USUAL_S
            if fault == "killed":
                broker.start()
            else:
                broker.thaw()

            async def is_well() -> bool:
                return await client.publish(sick[0]) == 201

            await until(is_well, "the partition takes events again", HEALS_S)
            for path in (f"/traces/{sick[0]}/summary", "/traces", "/events"):
                await until(lambda path=path: client.is_fresh(path), f"{path} is fresh again", HEALS_S)
            acknowledged = {key for keys in client.acknowledged.values() for key in keys}
            unknown = await _keys(client)
            (await judge(settings, acknowledged=acknowledged, unknown=unknown - acknowledged)).must_be_clean()

    async def _keys(client: Client) -> set[str]:
        found = (await client.get("/events?limit=1000"))[0].json()["events"]
        return {event["dedupKey"] for event in found}

    asyncio.run(scenario(three_brokers))
