"""A table that takes no event at all is at fault, and not the events: they must not become dead letters."""

from __future__ import annotations

import asyncio

import pytest

from axonstream.kafka.topics import event_key
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import EXIT_MISMATCH
from kit.sample_events import event_value
from kit.sink_process import pipeline, sink, start_sink
from kit.soak_report import SoakReport
from kit.stored_places import must_be_stored_once

pytestmark = pytest.mark.services

EVENTS = 300
ENDS_WITHIN_S = 60
BROKEN = {
    "a constraint that nothing meets": (
        "ALTER TABLE events_log ADD CONSTRAINT never CHECK channel_id = 4711",
        "ALTER TABLE events_log DROP CONSTRAINT never",
        "AXONSTREAM_MAX_REFUSED_IN_A_ROW",
    ),
    "a column of another type": (
        "ALTER TABLE events_log MODIFY COLUMN identifier UInt64",
        "ALTER TABLE events_log MODIFY COLUMN identifier String",
        "AXONSTREAM_MAX_REFUSED_IN_A_ROW",
    ),
    "a column that is missing": (
        "ALTER TABLE events_log DROP COLUMN environment",
        "ALTER TABLE events_log ADD COLUMN environment LowCardinality(String)",
        "Mend the table",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_table_that_refuses_every_event_stops_the_sink_and_makes_no_dead_letters(
    name: str, server_settings: Settings, soak_report: SoakReport, capfd: pytest.CaptureFixture[str]
) -> None:
    broken, mended, advice = BROKEN[name]

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            await pipe.client.command("DROP VIEW events")  # it names the columns
            await pipe.client.command(broken)
            sending = [
                await pipe.producer.send(pipe.topics.events, event_value(f"tr_{n}", n), key=event_key(f"tr_{n}"))
                for n in range(EVENTS)
            ]
            await asyncio.gather(*sending)
            with start_sink(server_settings) as process:
                try:
                    assert await asyncio.to_thread(process.wait, ENDS_WITHIN_S) == EXIT_MISMATCH
                finally:
                    process.kill()
            assert advice in capfd.readouterr().err
            assert await pipe.query("SELECT count() FROM dead_letters") == [(0,)]
            assert await pipe.query("SELECT count() FROM events_log") == [(0,)]
            await pipe.client.command(mended)
            with sink(server_settings):
                await pipe.until("SELECT uniqExact(_partition, _offset) FROM events_log", EVENTS)
                found = await must_be_stored_once(server_settings)
            soak_report.add(found.row(f"ClickHouse refuses every event: {name}", 1))

    asyncio.run(story())
