"""`axonstream verify` says what it looked at, names what differs, and its exit code tells a script which it was."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import orjson
import pytest

from axonstream.process.exit_codes import NOT_VERIFIED
from axonstream.settings.settings import Settings
from kit.oracle import SETTLES_WITHIN_S, settled
from kit.processor_process import processor
from kit.sample_events import event_value
from kit.sink_process import pipeline, sink

pytestmark = pytest.mark.services


def verify(settings: Settings, *options: str, **changed: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "AXONSTREAM_CLICKHOUSE_URL": settings.clickhouse_url,
        "AXONSTREAM_CLICKHOUSE_DATABASE": settings.clickhouse_database,
        "AXONSTREAM_TOPIC_PREFIX": settings.topic_prefix,
        "AXONSTREAM_TOPIC_PARTITIONS": str(settings.topic_partitions),
    }
    return subprocess.run(
        [sys.executable, "-m", "axonstream.cli.main", "verify", *options],
        env={**os.environ, **environment, **changed},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_tells_clean_data_from_a_lost_row_and_from_servers_that_do_not_answer(server_settings: Settings) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            with processor(server_settings), sink(server_settings):
                for number in range(3):
                    await pipe.send(pipe.topics.events, b"tr_1", event_value("tr_1", number))
                await settled(server_settings, SETTLES_WITHIN_S)
            clean = await asyncio.to_thread(verify, server_settings)
            assert clean.returncode == 0, clean.stderr
            assert "3 events, 0 dead letters, 1 summaries compared" in clean.stdout
            assert "every summary equals its events" in clean.stdout

            await pipe.client.command(
                "ALTER TABLE events_log DELETE WHERE event_id = 1", settings={"mutations_sync": 1}
            )
            lost = await asyncio.to_thread(verify, server_settings)
            assert lost.returncode == 1
            assert "lost: 1, summary: 1" in lost.stdout
            assert "event_count is 3 and should be 2" in lost.stdout
            as_json = orjson.loads((await asyncio.to_thread(verify, server_settings, "-o", "json")).stdout)
            assert (as_json["clean"], as_json["counts"]) == (False, {"lost": 1, "summary": 1})

    asyncio.run(story())
    no_kafka = verify(server_settings, AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert no_kafka.returncode == NOT_VERIFIED == 7
    assert "Error: not verified:" in no_kafka.stderr
    assert "Traceback" not in no_kafka.stderr


@pytest.mark.parametrize("told", [1, 8])
def test_another_count_of_partitions_than_the_topics_have_is_named_with_the_right_one(
    server_settings: Settings, told: int
) -> None:
    """With fewer, `verify` called the records of the others verified; with more, it said that no Kafka answers."""
    wrong = verify(server_settings, AXONSTREAM_TOPIC_PARTITIONS=str(told))
    assert wrong.returncode == NOT_VERIFIED
    assert f"has 2 partitions, AXONSTREAM_TOPIC_PARTITIONS says {told}" in wrong.stderr
    assert "set AXONSTREAM_TOPIC_PARTITIONS=2 for this command" in wrong.stderr
    assert verify(server_settings, AXONSTREAM_TOPIC_PARTITIONS="2").returncode == 0
