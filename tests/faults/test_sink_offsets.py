"""Offsets that somebody has moved: read again where that is safe, and refused where it would lose or double."""

from __future__ import annotations

import asyncio
import signal

import pytest

from kit.sink_load import ended, publish
from kit.sink_process import pipeline, sink, start_sink
from kit.soak_report import SoakReport
from kit.stored_places import must_be_stored_once
from producers.settings import Settings
from sinks.errors import EXIT_MISMATCH

pytestmark = pytest.mark.services

# The sink that has ended stays a member for a session, and so long nobody else may commit.
SHORT_SESSION = {"session_timeout_ms": 6000, "insert_timeout_ms": 3000}
OFFSETS_REFUSED = {
    "ahead of the log": "the log ends at",
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
            if place == "ahead of the log":
                await pipe.commit(0, 1000)
            elif place == "below its start":
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
