"""What a message about the number of partitions says to do is done, and helps."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from axonstream.kafka.client import kafka_options
from axonstream.kafka.partitioner import partition_of
from axonstream.kafka.topics import Topics
from axonstream.local.endpoints import Endpoints, read_endpoints
from axonstream.local.free_ports import free_port
from axonstream.settings.settings import Settings
from kit.command_line import Part, axonstream, environment, running_part
from kit.until import until

pytestmark = pytest.mark.services

BEFORE, AFTER = 2, 3  # of `server_settings`, and then
WITHIN_S = 90.0
REPEATED = 99
HEADERS = {"X-API-Key": "ak_local", "x-tenant-id": "1"}
MOVES = next(f"tr_{n}" for n in range(60) if partition_of(f"tr_{n}".encode(), AFTER) == BEFORE)


async def add_by_hand(settings: Settings, topics: Sequence[str]) -> None:
    """As `kafka-topics.sh --alter --partitions` does."""
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(AFTER) for topic in topics})
    finally:
        await admin.close()


def with_partitions(environment: dict[str, str], said: str) -> dict[str, str]:
    """The setting that the message names, set to the count that it names."""
    found = re.search(r"AXONSTREAM_TOPIC_PARTITIONS=(\d+)", said)
    assert found, said
    return environment | {"AXONSTREAM_TOPIC_PARTITIONS": found[1]}


@pytest.mark.parametrize(
    "more", [["events"], ["changelog"], ["summaries"], ["changelog", "summaries"]], ids=" and ".join
)
def test_a_processor_starts_after_the_command_that_it_names(more: list[str], server_settings: Settings) -> None:
    """More of the events: somebody added them by hand. Of the others: adding them was interrupted."""
    topics: Any = Topics(server_settings.topic_prefix)
    own = environment(server_settings)
    asyncio.run(add_by_hand(server_settings, [getattr(topics, name) for name in more]))
    with running_part(own, "processor") as processor:
        assert processor.ended() == 1
        said = processor.said
    command = re.search(r"run `axonstream (.*?)`", said)
    assert command, said
    told = with_partitions(own, said)
    code, answered = axonstream(told, *command[1].split())
    assert code == 0, answered
    with running_part(told, "processor") as processor:
        processor.until_said("ready processor\n")


async def publish(client: httpx.AsyncClient, number: int) -> httpx.Response:
    event = {"identifier": f"step {number}", "payload": {}, "channel_id": 1, "traceId": MOVES, "dedupKey": str(number)}
    return await client.post("/event", json=event)


async def until_counted(client: httpx.AsyncClient, events: int) -> None:
    """A fresh read counts so many events of the trace. Nothing but that and "not now" is answered before."""

    async def holds() -> bool:
        answer = await client.get(f"/traces/{MOVES}/summary")
        assert answer.status_code in (200, 503), answer.text
        fresh = answer.status_code == 200 and "X-Axonstream-Stale" not in answer.headers
        return fresh and answer.json()["totalEvents"] == events

    await until(holds, f"{events} events of {MOVES} are counted", WITHIN_S)


async def refused(url: str) -> str:
    """What reads and publishes say, once both do."""
    async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=60) as client:
        said: list[str] = []

        async def holds() -> bool:
            read = await client.get(f"/traces/{MOVES}/summary")
            written = await publish(client, REPEATED)  # it counts once, also where it is taken
            said[:] = [read.text, written.text]
            return all("AXONSTREAM_TOPIC_PARTITIONS" in text for text in said)

        await until(holds, lambda: f"both say what to do, but: {said}", WITHIN_S)
        return "\n".join(said)


async def published_and_counted(url: str, *numbers: int, events: int = 0) -> None:
    """Each is published; with `events` the trace has so many then."""
    async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=60) as client:
        for number in numbers:
            assert (await publish(client, number)).status_code == 201
        if events:
            await until_counted(client, events)


def test_a_gateway_that_was_told_another_count_publishes_and_reads_after_what_it_says(
    server_settings: Settings,
) -> None:
    settings = server_settings.model_copy(update={"publish_timeout_ms": 5000})
    url = f"http://127.0.0.1:{(port := free_port())}"
    own = environment(settings) | {"AXONSTREAM_GATEWAY_PORT": str(port)}
    with started(own):
        asyncio.run(published_and_counted(url, 1, REPEATED, events=2))
        asyncio.run(add_by_hand(settings, [Topics(settings.topic_prefix).events]))
        said = asyncio.run(refused(url))
        assert "stop processors and sinks, set AXONSTREAM_TOPIC_PARTITIONS=3, run `axonstream init`" in said
    told = with_partitions(own, said)
    code, answered = axonstream(told, "init")
    assert code == 0, answered
    with started(told):
        asyncio.run(published_and_counted(url, 3, 4, events=4))


def test_a_local_stack_that_was_told_another_count_follows_when_it_is_started_again(tmp_path: Path) -> None:
    """The message says that `axonstream up` does it by itself."""
    ports = ("--port", "0", "--kafka-port", "0", "--clickhouse-port", "0")
    up = ("up", *ports, "--data-dir", str(tmp_path))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AXONSTREAM_")}
    own = clean | {"AXONSTREAM_TOPIC_PARTITIONS": str(BEFORE)}

    def reached(stack: Part) -> Endpoints:
        stack.until_said("axonstream is ready: ")
        found = read_endpoints(tmp_path)
        assert found is not None
        return found

    with running_part(own, *up) as stack:
        at = reached(stack)
        asyncio.run(published_and_counted(at.gateway_url, REPEATED, events=1))
        asyncio.run(add_by_hand(Settings(kafka_bootstrap_servers=at.kafka_bootstrap_servers), [Topics("").events]))
        told = with_partitions(own, asyncio.run(refused(at.gateway_url)))
        assert stack.stop() == 0, stack.said
    with running_part(told, *up) as stack:
        asyncio.run(published_and_counted(reached(stack).gateway_url, 2, events=2))
        assert stack.stop() == 0, stack.said


@contextmanager
def started(environment: dict[str, str]) -> Generator[None]:
    """Gateway, sink and processor, ready; stopped at the end."""
    names = ("gateway", "sink", "processor")
    with ExitStack() as stack:
        parts = [stack.enter_context(running_part(environment, name)) for name in names]
        for part, name in zip(parts, names, strict=True):
            part.until_said(f"ready {name}\n")
        yield
        for part in parts:
            assert part.stop() == 0, part.said


def nothing_waits(environment: dict[str, str]) -> bool:
    code, said = axonstream(environment, "verify")
    return code == 0 and "0 records are not stored yet, 0 are in no summary yet" in said


def test_partitions_can_be_added_once_what_waits_is_read(server_settings: Settings) -> None:
    """`init --add-partitions` says what to do first."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    own = environment(server_settings) | {"AXONSTREAM_GATEWAY_PORT": str(port)}
    more = own | {"AXONSTREAM_TOPIC_PARTITIONS": str(AFTER)}

    with running_part(own, "gateway") as gateway:
        gateway.until_said("ready gateway\n")
        asyncio.run(published_and_counted(url, 1, 2))
        code, said = axonstream(more, "init", "--add-partitions")
        assert code != 0
        assert "2 events are not stored and folded yet" in said
        assert gateway.stop() == 0  # "stop the gateways"
    with running_part(own, "processor") as processor, running_part(own, "sink") as sink:
        asyncio.run(until(lambda: nothing_waits(own), "`axonstream verify` says so", WITHIN_S))  # "let them run until"
        assert processor.stop() == sink.stop() == 0  # "stop them"
    assert "then run `axonstream init --add-partitions` again" in said
    code, answered = axonstream(more, "init", "--add-partitions")
    assert code == 0, answered
    with started(more):
        asyncio.run(published_and_counted(url, events=2))
        asyncio.run(published_and_counted(url, 3, events=3))


def test_where_only_the_other_topics_have_more_partitions_what_waits_is_read_afterwards(
    server_settings: Settings,
) -> None:
    """No processor starts on them, so what waits cannot be read first: a line says what to start last."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    own = environment(server_settings) | {"AXONSTREAM_GATEWAY_PORT": str(port)}
    topics = Topics(server_settings.topic_prefix)
    asyncio.run(add_by_hand(server_settings, [topics.changelog, topics.summaries]))

    with running_part(own, "gateway") as gateway:
        gateway.until_said("ready gateway\n")
        asyncio.run(published_and_counted(url, 1))
        assert gateway.stop() == 0
    with running_part(own, "processor") as processor:
        assert processor.ended() == 1
        told = with_partitions(own, processor.said)
    code, said = axonstream(told, "init", "--add-partitions")
    assert code == 0, said
    assert "1 events are not stored and folded yet, and reads would miss them: start processors and sinks now" in said
    with running_part(told, "processor"), running_part(told, "sink"):
        asyncio.run(until(lambda: nothing_waits(told), "`axonstream verify` says so", WITHIN_S))
        with running_part(told, "gateway") as gateway:
            gateway.until_said("ready gateway\n")
            asyncio.run(published_and_counted(url, events=1))
