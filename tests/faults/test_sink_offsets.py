"""Offsets that somebody has moved: read again where that is safe, and refused where it would lose or double."""

from __future__ import annotations

import asyncio
import signal

import pytest

from axonstream.settings.settings import Settings
from axonstream.sinks.errors import EXIT_MISMATCH, EpochError
from axonstream.sinks.schema import migrate
from axonstream.sinks.starting.epochs import ensure_epoch
from kit.sink_load import ended, publish
from kit.sink_process import LONGEST_S, pipeline, sink, start_sink
from kit.soak_report import SoakReport
from kit.stored_places import must_be_stored_once
from kit.until import until

pytestmark = pytest.mark.services

# The sink that has ended stays a member for a session, and so long nobody else may commit.
SHORT_SESSION = {"session_timeout_ms": 6000, "insert_timeout_ms": 3000}
GONE = -1  # Kafka answers with it for an offset that was never committed, or has expired
OFFSETS_REFUSED = {
    "below its start": "They are lost",
    "other cluster": "another",
}


def test_offsets_rewound_by_hand_are_read_again_and_stored_once(
    server_settings: Settings, soak_report: SoakReport
) -> None:
    settings = server_settings.model_copy(update=SHORT_SESSION)

    async def story() -> None:
        async with pipeline(settings) as pipe:
            await publish(pipe, 100)
            with sink(settings) as process:
                await pipe.until_committed(0, 100)
                process.send_signal(signal.SIGTERM)
                await ended(process)
            await pipe.commit(0, 40)
            await publish(pipe, 50)
            with sink(settings):
                await pipe.until_committed(0, 150)
                found = await must_be_stored_once(settings)
            soak_report.add(found.row("offsets rewound within the log", 1))

    asyncio.run(story())


@pytest.mark.parametrize("place", OFFSETS_REFUSED)
def test_offsets_that_would_lose_or_double_stop_the_sink(
    server_settings: Settings, soak_report: SoakReport, place: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            await publish(pipe, 20)
            if place == "below its start":
                await pipe.delete_records(0, 10)
            else:
                await pipe.query(
                    "ALTER TABLE topic_epochs UPDATE cluster_id = 'another' WHERE 1 SETTINGS mutations_sync = 1"
                )
            with start_sink(server_settings) as process:
                assert await ended(process) == EXIT_MISMATCH
            complaint = capfd.readouterr().err
            assert OFFSETS_REFUSED[place] in complaint
            assert await pipe.query("SELECT count() FROM events_log") == [(0,)], "it went on"

    asyncio.run(story())


def test_offsets_ahead_of_the_log_are_set_back_and_everything_is_stored_once(server_settings: Settings) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            await publish(pipe, 20)
            await pipe.commit(0, 1000)
            with sink(server_settings):
                await pipe.until("SELECT count() FROM events_log", 20)
                await must_be_stored_once(server_settings)

    asyncio.run(story())


def test_what_a_sink_says_that_finds_no_offset_helps(
    server_settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = server_settings.model_copy(update=SHORT_SESSION)

    async def story() -> None:
        async with pipeline(settings) as pipe:
            await publish(pipe, 40)
            with sink(settings) as process:
                await pipe.until("SELECT count() FROM events_log", 40)
                process.send_signal(signal.SIGTERM)
                await ended(process)
            await pipe.commit(0, GONE)
            await publish(pipe, 20)
            with start_sink(settings) as process:
                assert await ended(process) == EXIT_MISMATCH
            assert "run `axonstream init`" in capfd.readouterr().err
            await until(lambda: followed(settings), "the advice is followed", LONGEST_S)
            with sink(settings):
                await pipe.until("SELECT count() FROM events_log", 60)
                await must_be_stored_once(settings)

    asyncio.run(story())


def test_what_a_sink_says_that_was_too_slow_for_retention_helps(
    server_settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = server_settings.model_copy(update=SHORT_SESSION)

    async def story() -> None:
        async with pipeline(settings) as pipe:
            await publish(pipe, 40)
            deleted = 5
            await pipe.delete_records(0, deleted)
            with start_sink(settings) as process:
                assert await ended(process) == EXIT_MISMATCH
            assert "run `axonstream init --new-epoch`" in capfd.readouterr().err
            await until(lambda: followed(settings, new=True), "the advice is followed", LONGEST_S)
            with sink(settings):
                await pipe.until("SELECT count() FROM events_log", 40 - deleted)
                await must_be_stored_once(settings)

    asyncio.run(story())


def test_two_databases_do_not_share_a_consumer_group(server_settings: Settings) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            await publish(pipe, 20)
            with sink(server_settings):
                await pipe.until("SELECT count() FROM events_log", 20)
            other = server_settings.model_copy(
                update={"clickhouse_database": f"{server_settings.clickhouse_database}_other"}
            )
            await asyncio.to_thread(migrate, other)
            try:
                with pytest.raises(EpochError, match="AXONSTREAM_TOPIC_PREFIX"):
                    await ensure_epoch(other)
            finally:
                await pipe.query(f"DROP DATABASE {other.clickhouse_database}")

    asyncio.run(story())


async def followed(settings: Settings, *, new: bool = False) -> bool:
    """What `axonstream init` does; False while Kafka still counts the sink that has just ended as a member."""
    try:
        await ensure_epoch(settings, new=new)
    except EpochError as error:
        if "a sink is running" not in str(error):
            raise
        return False
    return True
