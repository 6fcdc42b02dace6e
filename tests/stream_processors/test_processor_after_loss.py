"""The processor on a real Kafka whose logs are not what they were: what it says, and what follows its advice."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from click.testing import CliRunner
from test_processor_on_kafka import check_summaries, delete_events_below

from axonstream.cli.main import main
from axonstream.kafka.topic_admin import make_topics
from axonstream.kafka.topics import WATERMARK_KEY, Topics, state_key
from axonstream.process.fail_stop import EXIT_CODE, EXIT_MISMATCH
from axonstream.settings.settings import Settings
from kit.printed import end, said
from kit.processor_process import EventsTopic, Record, events_topic, processor, start_processor, wait_until_ready
from kit.until import until

pytestmark = pytest.mark.services


@pytest.fixture
def settings(kafka_bootstrap: str) -> Settings:
    fresh = Settings(
        kafka_bootstrap_servers=kafka_bootstrap,
        topic_prefix=f"loss-{uuid4().hex[:8]}-",
        topic_partitions=1,
        session_timeout_ms=6000,
        processor_instance="processor-0",
    )
    asyncio.run(make_topics(fresh))
    return fresh


async def make_anew(settings: Settings, topic: str) -> None:
    """As a log that has lost all that it held."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    try:
        await admin.start()
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await until(gone, f"{topic} is deleted", 60)
    finally:
        await admin.close()
    await make_topics(settings)


@asynccontextmanager
async def folded(settings: Settings, *traces: str) -> AsyncGenerator[EventsTopic]:
    """An event of each of the traces was folded and committed, by a processor that has ended."""
    async with events_topic(settings) as events:
        with processor(settings) as process:
            for number, trace in enumerate(traces):
                await events.publish(number, trace, event_type="custom")
            await events.output()
            process.terminate()
            assert process.wait(60) == 0
        yield events


async def after(
    settings: Settings, loss: Callable[[EventsTopic], Awaitable[None]]
) -> tuple[list[Record], list[Record]]:
    """What is stored, and what was said of it, when a processor was started after the loss."""
    async with folded(settings, "tr_a", "tr_a", "tr_b") as events:
        await loss(events)
        for number, trace in enumerate(("tr_b", "tr_a", "tr_c", "tr_a", "tr_a")):
            await events.publish(100 + number, trace, event_type="custom")
        with processor(settings):
            return events.stored, await events.output()


def test_a_changelog_that_has_lost_all_makes_no_summary_too_small(settings: Settings) -> None:
    async def lose_the_changelog(_: EventsTopic) -> None:
        await make_anew(settings, Topics(settings.topic_prefix).changelog)

    check_summaries(*asyncio.run(after(settings, lose_the_changelog)))


def test_summaries_that_were_lost_are_sent_again(settings: Settings) -> None:
    async def lose_the_summaries(_: EventsTopic) -> None:
        await make_anew(settings, Topics(settings.topic_prefix).summaries)

    check_summaries(*asyncio.run(after(settings, lose_the_summaries)))


def test_what_stands_at_the_offsets_of_lost_events_is_folded(settings: Settings) -> None:
    async def lose_the_events(events: EventsTopic) -> None:
        await make_anew(settings, Topics(settings.topic_prefix).events)
        events.stored.clear()

    stored, output = asyncio.run(after(settings, lose_the_events))
    begun = [at for at, (_, _, key, value) in enumerate(output) if key == WATERMARK_KEY and value.get("anew")]
    assert len(begun) == 1, "it says where the summaries of the log of now begin"
    check_summaries(stored, output[begun[0] :])


def rebuild(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS", settings.kafka_bootstrap_servers)
    monkeypatch.setenv("AXONSTREAM_TOPIC_PREFIX", settings.topic_prefix)
    ordered = CliRunner().invoke(main, ["rebuild-summaries"])
    assert ordered.exit_code == 0, ordered.output


def refused(settings: Settings) -> str:
    """What a processor says that ends as it starts."""
    process = start_processor(settings)
    try:
        said, _ = process.communicate(timeout=60)
    finally:
        end(process)
    assert process.returncode == EXIT_CODE
    assert "run `axonstream rebuild-summaries`" in said
    return said


def test_following_the_advice_after_events_were_deleted_unread(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> list[Record]:
        async with folded(settings, "tr_a", "tr_b") as events:
            for number in range(4):
                await events.publish(10 + number, "tr_a", event_type="custom")
            await delete_events_below(settings, {0: 4})
            assert "the events 2 to 3 were deleted" in await asyncio.to_thread(refused, settings)
            await asyncio.to_thread(rebuild, settings, monkeypatch)
            with processor(settings):
                return await events.output()

    output = asyncio.run(scenario())
    last = [value for _, _, key, value in output if key == state_key("1", "tr_a")][-1]
    assert (last["first_offset"], last["last_offset"], last["event_count"], last["exact"]) == (4, 5, 2, 1)


def test_following_the_advice_after_a_version_with_another_format(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> tuple[list[Record], list[Record]]:
        async with folded(settings, "tr_a", "tr_b", "tr_a") as events:
            changelog = Topics(settings.topic_prefix).changelog
            await events.producer.send_and_wait(changelog, b"[41,1,12,0,0]", key=state_key("1", "tr_a"), partition=0)
            assert "another format" in await asyncio.to_thread(refused, settings)
            await asyncio.to_thread(rebuild, settings, monkeypatch)
            await events.publish(9, "tr_a", event_type="custom")
            output: list[Record] = []
            for _ in range(2):  # the order is taken away with the states, so a second start is as any other
                with processor(settings) as process:
                    output = await events.output()
                    process.terminate()
                    assert process.wait(60) == 0
            return events.stored, output

    check_summaries(*asyncio.run(scenario()))


def test_of_two_processors_of_one_name_one_ends_with_a_message(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unnoticed, each would take the place of the other, again and again: on two machines, that share no lock."""

    async def one_has_ended(both: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
        async def ended() -> bool:
            return any(process.poll() is not None for process in both)

        await until(ended, "one of two processors ends", 60)
        return next(process for process in both if process.poll() is not None)

    async def scenario() -> list[Record]:
        async with events_topic(settings) as events:
            both = [start_processor(settings)]
            try:
                await asyncio.to_thread(wait_until_ready, both[0])
                monkeypatch.setenv("TMPDIR", str(tmp_path))
                both.append(start_processor(settings))
                ended = await one_has_ended(both)
                assert ended.returncode == EXIT_MISMATCH
                assert re.search(r"another process runs .*AXONSTREAM_PROCESSOR_INSTANCE=processor-0", said(ended))
                await events.publish(1, "tr_a")
                return await events.output()
            finally:
                for process in both:
                    end(process)

    assert state_key("1", "tr_a") in {key for _, _, key, _ in asyncio.run(scenario())}
