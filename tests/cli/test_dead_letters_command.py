"""`axonstream dead-letters` on real servers: what it shows, and that a replay counts once whatever dies when."""

from __future__ import annotations

import asyncio
import time

import pytest
from click.testing import CliRunner

from axonstream.cli.dead_letters_command import dead_letters
from axonstream.cli.dead_letters_options import Time
from axonstream.clickhouse.client import connect
from axonstream.process.exit_codes import UNREACHABLE
from axonstream.settings.settings import Settings
from kit.dead_letter_box import letter, listed, published, put, run
from kit.sample_events import event_value

HOSTILE = '{"a":"\x1b[2J\x9b31m\u202e\r\n"}'


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
    assert counted[2].split(maxsplit=3)[::3] == ["2", "not one JSON value"]
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
    assert run(server_settings, "show", "--offset", "1").exit_code == 5, "reading the bytes fails"
    assert "3 discarded" in run(server_settings, "discard", "--all-open").output


def test_a_time_may_be_how_long_ago_as_everywhere() -> None:
    """`dead-letters --since 1h` was refused where `keys --expires 12h` works."""
    now = time.time_ns() // 1_000_000
    assert 0 <= Time().convert("1h", None, None) + 3_600_000 - now < 60_000
    assert Time().convert("2026-01-31T12:00+01:00", None, None) == 1_769_857_200_000


def test_absent_servers_are_one_line_that_says_what_to_do() -> None:
    for command in (["list"], ["replay", "--all-open"]):
        nobody = {"AXONSTREAM_CLICKHOUSE_URL": "http://127.0.0.1:1"}
        result = CliRunner().invoke(dead_letters, command, env=nobody)
        assert (result.exit_code, result.stderr.count("\n")) == (UNREACHABLE, 1)
        assert "AXONSTREAM_CLICKHOUSE_URL" in result.stderr
