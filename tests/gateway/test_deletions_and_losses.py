"""What mends losses brings nothing back that was deleted, and does not take for a loss what a deletion took away."""

from __future__ import annotations

import asyncio
import signal
import subprocess

import pytest
from test_deletions_end_to_end import WITHIN_S, Story, story

from axonstream.settings.settings import Settings
from axonstream.sinks.offsets.comparison import Comparison
from axonstream.sinks.offsets.gaps import Gap
from axonstream.sinks.repairing.repair import Range, Repaired, repair
from axonstream.sinks.verification import verify
from axonstream.stream_processors.rebuild import order_rebuild
from kit.processor_process import processor
from kit.sink_load import ended
from kit.sink_process import sink
from kit.until import until

pytestmark = pytest.mark.services


@pytest.fixture
def at_once(server_settings: Settings) -> Settings:
    """Deletions follow each other without a pause."""
    return server_settings.model_copy(update={"deletion_pause_s": 0.0})


async def stopped(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    assert await ended(process) == 0


async def until_missing(test: Story, expected: int, what: str) -> None:
    """So many offsets a sink that begins would look for, once this one has said what it found and committed it."""
    found: dict[int, list[Gap]] = {}

    async def holds() -> bool:
        nonlocal found
        committed = await test.pipe.committed()
        partitions = range(test.pipe.settings.topic_partitions)
        bounds = {p: (0, committed[test.pipe.topics.events, p][0]) for p in partitions}
        found = await Comparison(test.pipe.client, test.pipe.topics.events, 1).gaps(bounds)
        return sum(gap.last - gap.first + 1 for some in found.values() for gap in some) == expected

    await until(holds, lambda: f"{what}: {found}", WITHIN_S)


async def deleted_and_clean(test: Story) -> None:
    await test.must_be_clean()
    result = await verify(test.pipe.settings, deep=True)
    assert result.clean, result.findings
    assert result.deleting == 0  # as the command says that deletes
    assert await test.rows("tr_a") == (0, 0, 0)
    assert await test.rows("tr_b") == (3, 1, 0)


def test_a_sink_that_begins_and_a_repair_store_again_what_is_lost_and_not_what_is_deleted(at_once: Settings) -> None:
    async def scenario() -> None:
        async with story(at_once) as test:
            with processor(at_once):
                with sink(at_once) as process:
                    await test.publish("tr_a")
                    await test.publish("tr_b")
                    await test.bad_record("tr_a")
                    await test.pipe.until("SELECT count() FROM dead_letters", 1)
                    assert (await test.total("tr_a"), await test.total("tr_b")) == (3, 3)
                    await test.delete("/traces/tr_a")
                    await test.until_finished("tr_a")
                    await deleted_and_clean(test)
                    await until_missing(test, at_once.topic_partitions, "the markers alone")
                    await stopped(process)
                for loss in ("", "absent_offsets", "events_log", "trace_summaries"):
                    if loss:
                        await test.pipe.client.command(f"TRUNCATE TABLE {loss}")
                    with sink(at_once) as process:
                        await test.pipe.until("SELECT count() FROM events_log", 3)
                        await test.pipe.until("SELECT count() FROM trace_summaries FINAL", 1)
                        await deleted_and_clean(test)
                        await until_missing(test, 0, f"{loss or 'nothing'} was lost, and all is looked for")
                        await stopped(process)
                await test.pipe.client.command("TRUNCATE TABLE events_log")
                await test.pipe.client.command("TRUNCATE TABLE trace_summaries")
                await test.pipe.client.command("TRUNCATE TABLE absent_offsets")
                left: list[int] = []
                first = await repair(at_once, Range(), left.append)
                assert (first.whole, left[0] > 0) == (True, True)
                await deleted_and_clean(test)
                assert await repair(at_once, Range(), left.append) == Repaired()

    asyncio.run(scenario())


def test_summaries_that_are_folded_anew_count_nothing_that_was_deleted(at_once: Settings) -> None:
    async def scenario() -> None:
        async with story(at_once) as test:
            with sink(at_once):
                with processor(at_once):
                    await test.publish("tr_a")
                    await test.publish("tr_b", 2)
                    assert (await test.total("tr_a"), await test.total("tr_b")) == (3, 2)
                    await test.delete("/traces/tr_a")
                    await test.delete("/traces/tr_b?late=stored")
                    await test.until_finished("tr_a")
                    await test.until_finished("tr_b")
                    await test.publish("tr_b")
                    await test.straight_to_kafka("tr_a", 1)
                    await deleted_and_clean(test)
                await order_rebuild(at_once)
                with processor(at_once):
                    await test.publish("tr_c")
                    assert await test.total("tr_c") == 3
                    assert await test.total("tr_b") == 3
                    await deleted_and_clean(test)

    asyncio.run(scenario())
