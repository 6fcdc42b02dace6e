"""The processor as a process on a real Kafka: what it writes, and that a kill -9 loses and doubles nothing."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from axonstream.contract.step_record import StepRecord
from axonstream.kafka.topic_admin import make_topics
from axonstream.kafka.topics import WATERMARK_KEY, Topics, state_key
from axonstream.settings.settings import Settings
from axonstream.stream_processors.errors import TopicsNotReadyError
from axonstream.stream_processors.topic_check import check_topics
from axonstream.stream_processors.worker import run
from kit.processor_process import EventsTopic, Record, events_topic, processor
from kit.recomputation import may_be_inexact, recomputed_steps, recomputed_summary
from kit.until import until

pytestmark = pytest.mark.services
TYPES = (
    *("agent.error", "agent.tool_call.start", "agent.tool_call.end", "agent.llm.start", "agent.llm.end"),
    *("agent.start", "agent.end", "agent.handoff", "agent.message", "custom"),
)


@pytest.fixture
def settings(kafka_bootstrap: str) -> Settings:
    fresh = Settings(
        kafka_bootstrap_servers=kafka_bootstrap,
        topic_prefix=f"processor-{uuid4().hex[:8]}-",
        topic_partitions=4,
        session_timeout_ms=6000,
    )
    asyncio.run(make_topics(fresh))
    return fresh


def test_summaries_and_watermarks_come_out_of_published_events(settings: Settings) -> None:
    async def scenario() -> list[Record]:
        async with events_topic(settings) as events:
            await events.publish(1, "tr_a", event_type="agent.start", agent_id="planner")
            await events.publish(2, "tr_a", event_type="agent.tool_call.start", agent_id="planner", dedup_key="call")
            await events.publish(3, "tr_a", event_type="agent.tool_call.start", agent_id="planner", dedup_key="call")
            await events.put(b"tr_a", b'{"not": "an event"}')
            await events.publish(4, "tr_a", event_type="agent.error", agent_id="worker", span_id="sp_4")
            return await events.output()

    with processor(settings) as process:
        output = asyncio.run(scenario())
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    summary = {key: value for _, _, key, value in output if key != WATERMARK_KEY}[state_key("1", "tr_a")]
    assert summary["event_count"] == 3
    assert (summary["tool_call_count"], summary["error_count"], summary["exact"]) == (1, 1, 1)
    assert summary["agents"] == ["planner", "worker"]
    assert (summary["first_error_step"], summary["first_error_span_id"]) == (3, "sp_4")
    opening = [value["folded"] for _, offset, _, value in output if offset == 0]
    assert opening == [0] * settings.topic_partitions, "an empty partition has a watermark from the start"


def test_fausts_own_command_runs_the_same_app(settings: Settings) -> None:
    async def scenario() -> list[Record]:
        async with events_topic(settings) as events:
            await events.publish(1, "tr_a")
            return await events.output()

    faust = str(Path(sys.executable).with_name("faust"))
    with processor(settings, faust, "-A", "axonstream.stream_processors.app", "worker", "-l", "warn"):
        assert state_key("1", "tr_a") in {key for _, _, key, _ in asyncio.run(scenario())}


def test_kill_9_while_events_come_in_loses_and_doubles_nothing(settings: Settings) -> None:
    async def publish(events: EventsTopic, numbers: Iterable[int], chance: random.Random) -> None:
        for number in numbers:
            await events.publish(
                number,
                f"tr_{chance.randrange(40)}",
                event_type=chance.choice(TYPES),
                span_id=chance.choice([None, "s", "t", "u"]),
                parent_span_id=chance.choice([None, None, "s", "t"]),
                agent_id=chance.choice(["a", "b", "c"]),
                dedup_key=chance.choice([None, f"d{chance.randrange(500)}"]),
                occurred_at=1_700_000_000_000 + number - chance.choice([0, 0, 0, 50]),
            )

    async def scenario() -> tuple[list[Record], list[Record]]:
        async with events_topic(settings) as events:
            chance = random.Random(7)
            for life in range(3):
                with processor(settings) as process:
                    await publish(events, range(life * 1000, life * 1000 + 500), chance)
                    publishing = asyncio.create_task(
                        publish(events, range(life * 1000 + 500, life * 1000 + 1000), chance)
                    )
                    process.kill()
                    await publishing
            with processor(settings):
                output = await events.output()
            check_steps(events)
            return events.stored, output

    stored, output = asyncio.run(scenario())
    assert len(stored) == 3000
    check_summaries(stored, output)
    check_watermarks(stored, output)


def check_summaries(stored: list[Record], output: list[Record]) -> None:
    """The summary of the highest last_offset is the recomputation from all events."""
    latest: dict[bytes, dict[str, Any]] = {}
    for _, _, key, value in output:
        if key != WATERMARK_KEY and value["last_offset"] >= latest.get(key, {"last_offset": -1})["last_offset"]:
            latest[key] = dict(value)
    traces: dict[bytes, list[tuple[int, dict[str, Any]]]] = {}
    for _, offset, _, event in stored:
        traces.setdefault(state_key("1", event["trace_id"]), []).append((offset, event))
    assert latest.keys() == traces.keys()
    for key, summary in latest.items():
        truth = recomputed_summary(traces[key])
        if not summary.pop("exact"):
            assert may_be_inexact(traces[key])
            truth["first_error_step"] = summary["first_error_step"]
        assert summary == truth


def check_steps(events: EventsTopic) -> None:
    """The steps are those of a recomputation of each trace from all its events."""
    traces: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for _, offset, _, event in events.stored:
        traces.setdefault(event["trace_id"], []).append((offset, event))
    true: dict[bytes, StepRecord] = {}
    for own in traces.values():
        true |= recomputed_steps(own)
    assert len(true) > len(traces)
    wrong = {key: (events.steps.get(key), step) for key, step in true.items() if events.steps.get(key) != step}
    assert not wrong
    assert len(events.steps) == len(true)


def check_watermarks(stored: list[Record], output: list[Record]) -> None:
    """Whatever a watermark claims is in the summaries before it."""
    claimable = {(partition, offset): state_key("1", event["trace_id"]) for partition, offset, _, event in stored}
    checked: dict[int, int] = {}
    reached: dict[bytes, int] = {}
    for partition, _, key, value in sorted(output, key=lambda record: record[:2]):
        if key != WATERMARK_KEY:
            reached[key] = max(reached.get(key, -1), value["last_offset"])
            continue
        for offset in range(checked.get(partition, 0), value["folded"]):
            assert reached[claimable[partition, offset]] >= offset
        checked[partition] = max(checked.get(partition, 0), value["folded"])


def test_transaction_markers_between_events_are_not_taken_for_lost_events(settings: Settings) -> None:
    """The log of a transactional publisher has offsets without a record."""

    async def scenario() -> list[Record]:
        topic = Topics(settings.topic_prefix).events
        async with (
            events_topic(settings) as events,
            AIOKafkaProducer(
                bootstrap_servers=settings.kafka_bootstrap_servers, transactional_id=settings.topic_prefix
            ) as transactional,
        ):
            await events.publish(1, "tr_a")
            for _ in range(3):
                async with transactional.transaction():
                    await transactional.send_and_wait(topic, b"not an event", key=b"tr_a")
                await events.publish(2, "tr_a")
            return await events.output()

    with processor(settings):
        output = asyncio.run(scenario())
    assert max(value["event_count"] for _, _, key, value in output if key != WATERMARK_KEY) == 4


async def delete_events_below(settings: Settings, offsets: dict[int, int]) -> None:
    """What retention does."""
    topic = Topics(settings.topic_prefix).events
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    try:
        await admin.start()
        await admin.delete_records(
            {TopicPartition(topic, partition): RecordsToDelete(offset) for partition, offset in offsets.items()}
        )
    finally:
        await admin.close()


def test_folding_starts_at_a_log_that_begins_late_but_never_passes_over_unfolded_events(settings: Settings) -> None:
    async def scenario() -> None:
        async with events_topic(settings) as events:
            for number in range(5):
                await events.publish(number, "tr_a")
            ((partition, end),) = events.ends.items()
            await delete_events_below(settings, {partition: 3})
            with processor(settings) as process:
                output = await events.output()
                process.send_signal(signal.SIGTERM)
                process.wait(60)
            assert max(value["event_count"] for _, _, key, value in output if key != WATERMARK_KEY) == 2
            for number in range(5):
                await events.publish(number, "tr_a")
            await delete_events_below(settings, {partition: end + 2})

    asyncio.run(scenario())
    with pytest.raises(AssertionError, match="ended with 70"), processor(settings):
        pass


def test_topics_that_differ_in_partitions_stop_the_start_with_words(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    async def narrow_summaries(other: Settings) -> None:
        topics = Topics(other.topic_prefix)
        counts = {topics.events: 2, topics.changelog: 2, topics.summaries: 1}
        admin = AIOKafkaAdminClient(bootstrap_servers=other.kafka_bootstrap_servers)
        try:
            await admin.start()
            await admin.create_topics([NewTopic(name, count, 1) for name, count in counts.items()])

            async def known() -> bool:
                return counts.keys() <= set(await admin.list_topics())

            await until(known, "the broker knows the new topics", 60)
        finally:
            await admin.close()

    other = settings.model_copy(update={"topic_prefix": f"{settings.topic_prefix}narrow-"})
    with pytest.raises(SystemExit, match="axonstream init"):
        run(other)
    asyncio.run(narrow_summaries(other))
    with pytest.raises(TopicsNotReadyError, match="same partition count"):
        asyncio.run(check_topics(other))
