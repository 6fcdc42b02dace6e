"""S4: topics full of the events that cost most to validate. The sink keeps its partitions, and others are served."""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import event_key
from axonstream.settings.settings import Settings
from kit.dear_events import DEAR_PAYLOADS, text_of
from kit.processor_process import events_topic, processor
from kit.running_stack import HEADERS, running_stack
from kit.sample_events import event_value
from kit.sink_process import Pipeline, pipeline, sink
from kit.soak_report import SoakReport
from kit.stored_places import must_be_stored_once

pytestmark = pytest.mark.services

TIMES, TIMES_IN_A_SOAK = 3, 60
EVENTS, ROUNDS = 10, 5
MOST_TIMES_PLAIN_TEXT = 5


async def members_of(settings: Settings, group: str) -> list[str]:
    """The ids of the group's members: another one after every rebalance in which a member was lost."""
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    await admin.start()
    try:
        [described] = cast("list[Any]", await admin.describe_consumer_groups([group]))
        return sorted(member[0] for member in described.groups[0][5])
    finally:
        await admin.close()


async def fill(pipe: Pipeline, times: int) -> int:
    """Every dear payload so many times, and as often one that is refused: 200,000 arrays. Returns how many events."""
    too_many = b'{"a":[' + b",".join([b"[]"] * 200_000) + b"]}"
    payloads = [*DEAR_PAYLOADS.values(), too_many]
    sent = 0
    for turn in range(times):
        values = [event_value(f"tr_{turn}", sent + at, payload) for at, payload in enumerate(payloads)]
        await asyncio.gather(*(pipe.send(pipe.topics.events, event_key(f"tr_{turn}"), value) for value in values))
        sent += len(values)
    return sent


def test_a_topic_full_of_dear_events_is_stored_without_a_rebalance(
    server_settings: Settings, soak: bool, soak_report: SoakReport
) -> None:
    """S4: a sink that judged such a fetch in one go lost its membership, read it again, and lost it again, for ever."""
    settings = server_settings.model_copy(update={"session_timeout_ms": 6000, "insert_timeout_ms": 3000})
    times = TIMES_IN_A_SOAK if soak else TIMES

    async def story() -> None:
        async with pipeline(settings) as pipe:
            sent = await fill(pipe, times)
            started = monotonic()
            with sink(settings):
                before = await members_of(settings, pipe.topics.sink_group)
                await pipe.until("SELECT count() FROM dead_letters FINAL", times)
                await pipe.until("SELECT count() FROM events_log", sent - times)
                assert await members_of(settings, pipe.topics.sink_group) == before
                found = await must_be_stored_once(settings)
            soak_report.add(found.row("a topic full of the dearest events", sent, monotonic() - started))

    asyncio.run(story())


def test_a_topic_full_of_dear_events_is_folded(server_settings: Settings) -> None:
    async def story() -> None:
        async with events_topic(server_settings) as topic:
            for at, payload in enumerate(DEAR_PAYLOADS.values()):
                await topic.put(event_key(f"tr_{at}"), event_value(f"tr_{at}", at, payload))
            with processor(server_settings):
                output = await topic.output()
        folded = {value["trace_id"]: value["event_count"] for *_, value in output if "trace_id" in value}
        assert folded == {f"tr_{at}": 1 for at in range(len(DEAR_PAYLOADS))}

    asyncio.run(story())


@pytest.mark.soak
def test_the_dearest_event_costs_at_most_five_times_plain_text_of_its_size(
    server_settings: Settings, tmp_path: Path, soak_report: SoakReport
) -> None:
    """S4: CPU of gateway, processor and sink, each; a nested event of 1 MB cost 300 times its text."""

    async def story() -> None:
        async with running_stack(server_settings, tmp_path) as stack:
            parts = {name: stack.pid(name) for name in ("gateway-0", "processor-0", "sink-0")}
            async with httpx.AsyncClient(base_url=stack.urls[0], headers=HEADERS, timeout=60) as client:
                for name, payload in DEAR_PAYLOADS.items():
                    dear, plain = list[dict[str, int]](), list[dict[str, int]]()
                    for _ in range(ROUNDS):
                        dear.append(await cpu_of(client, parts, payload))
                        plain.append(await cpu_of(client, parts, text_of(len(payload))))
                    ratios = {p: median(x[p] for x in dear) / median(x[p] for x in plain) for p in parts}
                    soak_report.measured.append(f"CPU of {name}, times that of plain text: {ratios}")
                    assert max(ratios.values()) <= MOST_TIMES_PLAIN_TEXT, soak_report.measured[-1]

    asyncio.run(story())


async def cpu_of(client: httpx.AsyncClient, parts: dict[str, int], payload: bytes) -> dict[str, int]:
    """What each part takes for EVENTS of such events, in ns of CPU, until a read sees them."""
    trace = f"tr_{uuid4().hex}"
    body = b'{"identifier":"a","channel_id":1,"traceId":"%b","payload":%b}' % (trace.encode(), payload)
    before = {part: cpu_ns(pid) for part, pid in parts.items()}
    answer = await client.post("/events", content=b"[" + b",".join([body] * EVENTS) + b"]")
    assert answer.json()["accepted"] == EVENTS
    summary = await client.get(f"/traces/{trace}/summary?events=0")
    while summary.status_code != 200 or "x-axonstream-stale" in summary.headers:
        summary = await client.get(f"/traces/{trace}/summary?events=0")
    return {part: cpu_ns(pid) - before[part] for part, pid in parts.items()}


def cpu_ns(pid: int) -> int:
    """Of all threads of a process, from its start on."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat"))
