"""`axonstream dead-letters replay` on real servers: it counts once, whatever dies when."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from axonstream.contract.record_validation import ValidationFailure, validate_record
from axonstream.event_contract import event_id_of
from axonstream.gateway.app import create_app
from axonstream.kafka.topics import Topics, event_key
from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.replay import dedup_key_of, replayed_record
from axonstream.sinks.dead_letters.store import Letter, OpenedLetter, Place
from kit.dead_letter_box import environment, letter, listed, published, put, run
from kit.processor_process import RUN as RUN_PROCESSOR
from kit.processor_process import processor
from kit.sample_events import event_value
from kit.sink_process import RUN as RUN_SINK
from kit.sink_process import Pipeline, pipeline, sink

PAYLOAD = b'{"x": 1.0, "b":1180591620717411303424, "n":null, "u":"\\u00e9 \xc3\xa9 \\n"}'


# A version that does not know the events of a newer one, in every part that judges.
OLDER = """
import axonstream.contract.record_validation as judged
newer = judged.validate_record
def validate_record(key, value):
    if value and b'"identifier":"newer"' in value:
        return judged.ValidationFailure("from the future")
    return newer(key, value)
judged.validate_record = validate_record
judged._fast_path_of = lambda run: None
"""


DIES_BEFORE_ITS_MARK = """
import os, signal
from axonstream.sinks.dead_letters.store import DeadLetterStore
async def decide(*_): os.kill(os.getpid(), signal.SIGKILL)
DeadLetterStore.decide = decide
from axonstream.cli.main import main
main()
"""


@pytest.mark.services
def test_what_is_still_no_event_is_not_published_and_stays_open(server_settings: Settings) -> None:
    settings = server_settings
    summaries = Topics(settings.topic_prefix).summaries
    good = event_value("tr_1", 1)
    asyncio.run(
        put(
            settings,
            [
                letter(settings, 1, good + good),
                letter(settings, 2, good, key=b"tr_other"),
                letter(settings, 3, good, topic=summaries),
                letter(settings, 4, good),
            ],
        )
    )
    result = run(settings, "replay", "--all-open")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (3, "1 replayed, 3 not")
    said = result.stderr.splitlines()
    assert "not one JSON value" in said[0]
    assert "key is not its trace_id" in said[1]
    assert "the processor writes summaries again" in said[2]
    assert sorted(row["offset"] for row in listed(settings)) == [1, 2, 3]
    assert len(asyncio.run(published(settings))) == 1
    assert run(settings, "replay", "--offset", "4").exit_code == 0
    assert len(asyncio.run(published(settings))) == 1, "what was replayed is not open any more"


async def read(settings: Settings, path: str) -> Any:
    app = create_app(settings.model_copy(update={"api_keys": SecretStr("ak_local=1"), "read_wait_ms": 60_000}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as client,
    ):
        answer = await client.get(path, headers={"X-API-Key": "ak_local", "x-tenant-id": "1"})
        assert "X-Axonstream-Stale" not in answer.headers
        return answer.json()


def newer(event_id: int, **fields: Any) -> bytes:
    value = event_value("tr_1", event_id, PAYLOAD).replace(b'"web_search"', b'"newer"')
    return value.replace(b'"source":', orjson.dumps(fields)[1:-1] + b',"source":') if fields else value


@pytest.mark.services
def test_a_replayed_event_is_stored_and_counted_once_whatever_dies_and_how_often(
    server_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = server_settings
    sent = [newer(1), newer(2), newer(3, dedup_key="own")]

    async def with_older_version(pipe: Pipeline) -> list[tuple[int, int]]:
        monkeypatch.setattr("kit.sink_process.RUN", OLDER + RUN_SINK)
        with sink(settings), processor(settings, sys.executable, "-c", OLDER + RUN_PROCESSOR):
            await pipe.send(pipe.topics.events, event_key("tr_1"), event_value("tr_1", 10))
            places = [await pipe.send(pipe.topics.events, event_key("tr_1"), value) for value in sent]
            await pipe.until("SELECT count() FROM dead_letters FINAL", len(sent))
            await pipe.until("SELECT count() FROM events_log", 1)
            assert (await read(settings, "/traces/tr_1/summary"))["totalEvents"] == 1
        monkeypatch.setattr("kit.sink_process.RUN", RUN_SINK)
        return places

    async def story() -> None:
        async with pipeline(settings) as pipe:
            places = await with_older_version(pipe)
            offset = str(places[1][1])
            dying = [sys.executable, "-c", DIES_BEFORE_ITS_MARK, "dead-letters", "replay", "--offset", offset]
            with sink(settings), processor(settings):
                died = await asyncio.to_thread(subprocess.run, dying, env={**os.environ, **environment(settings)})
                assert died.returncode == -signal.SIGKILL
                await pipe.until("SELECT count() FROM events_log", 2)
                assert len(await asyncio.to_thread(listed, settings)) == 3, "published, not marked"
                for _ in range(10):
                    result = await asyncio.to_thread(run, settings, "replay", "--trace", "tr_1", "--all")
                    assert result.exit_code == 0, result.output
                await pipe.until("SELECT count() FROM events_log", 1 + 1 + 10 * len(sent))
                assert await asyncio.to_thread(listed, settings) == []

                summary = await read(settings, "/traces/tr_1/summary")
                rows = await read(settings, "/traces/tr_1/events")
                assert (summary["totalEvents"], len(rows)) == (4, 4)
                derived = [dedup_key_of(Place("", 1, *place)) for place in places[:2]]
                assert {row["dedupKey"]: row["eventId"] for row in rows if row["dedupKey"]} == {
                    **{key: event_id_of("1", "tr_1", key) for key in derived},
                    "own": 3,
                }
                found = await pipe.query("SELECT DISTINCT hex(payload) FROM events WHERE identifier = 'newer'")
                assert [bytes.fromhex(row[0]) for row in found] == [PAYLOAD]
                # The newer processor may have counted the very records that the older sink put aside.
                assert await pipe.query("SELECT exact FROM traces WHERE trace_id = 'tr_1'") == [(0,)]

    asyncio.run(story())


@pytest.mark.services
def test_a_letter_whose_record_is_stored_after_all_is_not_published_again(server_settings: Settings) -> None:
    settings = server_settings

    async def story() -> None:
        async with pipeline(settings) as pipe:
            with sink(settings):
                place = await pipe.send(pipe.topics.events, event_key("tr_1"), event_value("tr_1", 1))
                await pipe.until("SELECT count() FROM events_log", 1)
                stale = letter(settings, place[1], event_value("tr_1", 1), partition=place[0])
                await put(settings, [stale])
                result = await asyncio.to_thread(run, settings, "replay", "--all-open")
                assert (result.exit_code, "is stored already" in result.stdout) == (0, True)
                assert len(await published(settings)) == 1
                assert await asyncio.to_thread(listed, settings) == []

    asyncio.run(story())


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)


@given(
    payload=st.dictionaries(TEXT, st.integers(-(2**63), 2**64 - 1), max_size=3),
    dedup_key=st.none() | TEXT,
    offset=st.integers(0, 2**63 - 1),
    spaces=st.booleans(),
)
def test_a_replayed_record_differs_from_the_sent_one_only_in_what_makes_it_count_once(
    payload: dict[str, int], dedup_key: str | None, offset: int, spaces: bool
) -> None:
    fields = orjson.loads(event_value("tr_1", 5, orjson.dumps(payload)))
    if dedup_key is not None:
        fields["dedup_key"] = dedup_key
    value = orjson.dumps(fields, option=orjson.OPT_INDENT_2 if spaces else None)
    place = Place("agent-events", 7, 3, offset)
    opened = OpenedLetter(Letter(place, 0, "1", "tr_1", "", len(value), "open"), b"tr_1", value)
    record = replayed_record(opened, "agent-events")
    assert not isinstance(record, ValidationFailure)
    if dedup_key:
        assert record.value == value
        return
    replayed = validate_record(b"tr_1", record.value)
    assert not isinstance(replayed, ValidationFailure)
    key = dedup_key_of(place)
    assert (replayed.dedup_key, replayed.event_id) == (key, event_id_of("1", "tr_1", key))
    assert orjson.loads(record.value) == fields | {"dedup_key": key, "event_id": replayed.event_id}
    assert replayed_record(opened, "agent-events") == record
