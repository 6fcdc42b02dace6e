"""`axonstream dead-letters` on real servers: what it shows, and that a replay counts once whatever dies when."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from axonstream.event_contract import event_id_of
from deploy.dead_letters_command import dead_letters
from gateway.app import create_app
from kit.processor_process import RUN as RUN_PROCESSOR
from kit.processor_process import processor
from kit.sample_events import NOW_MS, event_value
from kit.sink_process import RUN as RUN_SINK
from kit.sink_process import Pipeline, pipeline, sink
from producers.settings import Settings
from producers.topics import Topics, event_key
from producers.verdict import Refusal, verdict
from sinks.clickhouse import connect
from sinks.dead_letter import DeadLetter
from sinks.letter_box import Letter, OpenedLetter, Place
from sinks.replay import dedup_key_of, replayed_record

HOSTILE = '{"a":"\x1b[2J\x9b31m\u202e\r\n"}'
PAYLOAD = b'{"x": 1.0, "b":1180591620717411303424, "n":null, "u":"\\u00e9 \xc3\xa9 \\n"}'

# A version that does not know the events of a newer one, in every part that judges.
OLDER = """
import producers.verdict as judged
newer = judged.verdict
def verdict(key, value):
    return judged.Refusal("from the future") if value and b'"identifier":"newer"' in value else newer(key, value)
judged.verdict = verdict
"""
DIES_BEFORE_ITS_MARK = """
import os, signal
from sinks.letter_box import LetterBox
async def decide(*_): os.kill(os.getpid(), signal.SIGKILL)
LetterBox.decide = decide
from deploy.cli import main
main()
"""


def environment(settings: Settings) -> dict[str, str]:
    return {
        "AXONSTREAM_CLICKHOUSE_URL": settings.clickhouse_url,
        "AXONSTREAM_CLICKHOUSE_DATABASE": settings.clickhouse_database,
        "AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "AXONSTREAM_TOPIC_PREFIX": settings.topic_prefix,
    }


def run(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(dead_letters, arguments, env=environment(settings))


def listed(settings: Settings, *arguments: str) -> list[dict[str, Any]]:
    result = run(settings, "list", "-o", "json", *arguments)
    assert result.exit_code == 0, result.output
    return orjson.loads(result.stdout)


async def put(settings: Settings, letters: Sequence[DeadLetter], epoch: int = 1) -> None:
    """What the sink writes."""
    client = await connect(settings)
    rows: list[list[Any]] = [
        [x.topic, x.partition, x.offset, x.key or b"", x.value or b"", x.reason, *x.trace(), x.failed_at, epoch]
        for x in letters
    ]
    names = ["topic", "partition", "offset", "key", "value", "reason", "tenant_id", "trace_id", "failed_at"]
    types = ["String", "UInt32", "Int64", *["String"] * 5, "DateTime64(3, 'UTC')", "UInt32"]
    await client.insert("dead_letters", rows, column_names=[*names, "_topic_epoch"], column_type_names=types)
    await client.close()


def letter(settings: Settings, offset: int, value: bytes, reason: str = "for a test", **changed: Any) -> DeadLetter:
    topic = Topics(settings.topic_prefix).events
    return replace(DeadLetter(topic, 0, offset, b"tr_1", value, reason, NOW_MS + offset), **changed)


async def published(settings: Settings) -> list[bytes]:
    """The values on agent-events, in the order of their offsets, partition after partition."""
    topic = Topics(settings.topic_prefix).events
    partitions = [TopicPartition(topic, partition) for partition in range(settings.topic_partitions)]
    values: list[bytes] = []
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers) as consumer:
        for partition, end in (await consumer.end_offsets(partitions)).items():
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            values += [(await consumer.getone()).value or b"" for _ in range(end)]
    return values


@pytest.mark.services
def test_filters_choose_and_the_list_is_an_aligned_table_or_json(server_settings: Settings) -> None:
    settings = server_settings
    ours = event_value("tr_1", 1)
    asyncio.run(
        put(
            settings,
            [
                letter(settings, 1, ours, "the record's key is not its trace_id"),
                letter(settings, 2, ours.replace(b'"tenant_id":"1"', b'"tenant_id":"2"'), "nested deeper than 100"),
                letter(settings, 3, b"{", "not one JSON value", partition=1),
                letter(settings, 4, b"{", "not one JSON value", topic="other", failed_at=1000),
            ],
        )
    )
    asyncio.run(put(settings, [letter(settings, 3, b"[", "not a JSON object", partition=1)], epoch=2))

    def offsets(*arguments: str) -> list[int]:
        return [row["offset"] for row in listed(settings, *arguments)]

    assert offsets() == [3, 3, 2, 1, 4]
    assert offsets("--topic", "other") == offsets("--until", "1970-01-02") == [4]
    assert offsets("--partition", "1", "--epoch", "2") == [3]
    assert offsets("--offset", "2") == offsets("--tenant", "2") == offsets("--reason", "NESTED") == [2]
    assert offsets("--trace", "tr_1") == [2, 1]
    assert offsets("--since", "2030-01-01T01:00+01:00") == [3, 3, 2, 1]
    assert offsets("--since", "1970-01-01T00:00:01", "--until", "1970-01-01T00:00:01.001") == [4]
    cut = run(settings, "list", "--limit", "2", "--reason", "one JSON")
    assert "raise --limit" not in cut.stderr
    lines = cut.stdout.splitlines()
    assert lines[0].split() == ["letter", "epoch", "record", "of", "bytes", "tenant", "trace", "state", "reason"]
    assert lines[2].split()[0] == f"{settings.topic_prefix}agent-events/1@3"
    assert "raise --limit" in run(settings, "list", "--limit", "1").stderr
    counted = run(settings, "list", "--by-reason").stdout.splitlines()
    assert counted[2].split(maxsplit=5)[::5] == ["2", "not one JSON value"]
    assert run(settings, "list", "--since", "yesterday").exit_code == 2


@pytest.mark.services
def test_show_keeps_the_terminal_safe_and_raw_is_exact(server_settings: Settings) -> None:
    settings = server_settings
    values = [HOSTILE.encode(), bytes(range(256)), b"", b"\x00" * 70_000]
    letters = [letter(settings, at, value, f"because\x1b[2J {at}") for at, value in enumerate(values)]
    asyncio.run(put(settings, [*letters, letter(settings, 9, b"", key=b"\xff\x1b")]))
    for at, value in enumerate(values):
        where = ["--offset", str(at)]
        assert run(settings, "show", *where, "--raw").stdout_bytes == value
        for output in ("text", "json"):
            shown = run(settings, "show", *where, "-o", output)
            assert shown.exit_code == 0
            assert shown.stdout.replace("\n", "").isprintable()
    assert "\\x1b[2J\\x9b31m\\u202e\\r\\n" in run(settings, "show", "--offset", "0").stdout
    assert "1e 1f" in run(settings, "show", "--offset", "1").stdout
    assert "key        (hex) ff 1b" in run(settings, "show", "--offset", "9").stdout
    assert run(settings, "list").stdout.replace("\n", "").isprintable()
    for arguments, said in (
        (["--offset", "77"], "no letter matches"),
        (["--topic", letters[0].topic], "more than one"),
    ):
        result = run(settings, "show", *arguments)
        assert (result.exit_code, said in result.stderr) == (1, True)


@pytest.mark.services
def test_nothing_happens_to_every_letter_by_a_slip_or_in_a_dry_run(server_settings: Settings) -> None:
    settings = server_settings
    asyncio.run(put(settings, [letter(settings, 1, event_value("tr_1", 1))]))
    for command in ("replay", "discard"):
        for slip in ([], ["--all"], ["--limit", "5"]):
            result = run(settings, command, *slip)
            assert (result.exit_code, "--all-open" in result.stderr) == (2, True)
        assert run(settings, command, "--all-open", "--offset", "1").exit_code == 2
        assert "would" in run(settings, command, "--all-open", "--dry-run").stdout
    assert [row["state"] for row in listed(settings)] == ["open"]
    assert asyncio.run(published(settings)) == []


@pytest.mark.services
def test_what_is_discarded_is_hidden_and_stays_so_when_the_sink_writes_it_again(server_settings: Settings) -> None:
    settings = server_settings
    letters = [letter(settings, offset, b"{") for offset in range(3)]
    asyncio.run(put(settings, letters))
    assert run(settings, "discard", "--offset", "1").stdout.splitlines()[-1] == "1 discarded"
    asyncio.run(put(settings, letters))
    assert [row["offset"] for row in listed(settings)] == [2, 0]
    assert {row["offset"]: row["state"] for row in listed(settings, "--all")} == {0: "open", 1: "discarded", 2: "open"}
    assert run(settings, "show", "--offset", "1", "--raw").stdout_bytes == b"{"
    assert run(settings, "discard", "--all-open").stdout.splitlines()[-1] == "2 discarded"


@pytest.mark.services
def test_discarding_reads_no_letter_s_bytes(server_settings: Settings) -> None:
    async def forbid_reading() -> None:
        client = await connect(server_settings)
        await client.command("ALTER TABLE dead_letters RENAME COLUMN value TO unread")
        await client.command("ALTER TABLE dead_letters ADD COLUMN value String ALIAS throwIf(1, 'was read') || unread")
        await client.close()

    asyncio.run(put(server_settings, [letter(server_settings, offset, b"{broken") for offset in range(3)]))
    asyncio.run(forbid_reading())
    assert run(server_settings, "show", "--offset", "1").exit_code == 1, "reading the bytes fails"
    assert "3 discarded" in run(server_settings, "discard", "--all-open").output


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
    assert "the processor writes summaries anew" in said[2]
    assert sorted(row["offset"] for row in listed(settings)) == [1, 2, 3]
    assert len(asyncio.run(published(settings))) == 1
    assert run(settings, "replay", "--offset", "4").exit_code == 0
    assert len(asyncio.run(published(settings))) == 1, "what was replayed is not open any more"


async def read(settings: Settings, path: str) -> Any:
    app = create_app(settings.model_copy(update={"api_keys": SecretStr("ak_local=1"), "read_wait_ms": 20_000}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=30) as client,
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


def test_absent_servers_are_one_line_that_says_what_to_do() -> None:
    for command in (["list"], ["replay", "--all-open"]):
        nobody = {"AXONSTREAM_CLICKHOUSE_URL": "http://127.0.0.1:1"}
        result = CliRunner().invoke(dead_letters, command, env=nobody)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert "AXONSTREAM_CLICKHOUSE_URL" in result.stderr


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
    assert not isinstance(record, Refusal)
    if dedup_key:
        assert record.value == value
        return
    replayed = verdict(b"tr_1", record.value)
    assert not isinstance(replayed, Refusal)
    key = dedup_key_of(place)
    assert replayed == fields | {"dedup_key": key, "event_id": event_id_of("1", "tr_1", key)}
    assert replayed_record(opened, "agent-events") == record
