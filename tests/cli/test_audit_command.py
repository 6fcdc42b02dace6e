"""`axonstream audit list` on real servers: what was done with keys, over HTTP and to dead letters, in 80 columns."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner, Result
from rich.cells import cell_len

from axonstream.cli.audit_command import audit
from axonstream.cli.audit_view import WIDTH, entry_lines
from axonstream.cli.command_actor import command_actor
from axonstream.cli.keys_command import keys
from axonstream.gateway.app import create_app
from axonstream.gateway.control.audit_entry import Action, Actor, entry
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.log import ControlLog
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics
from axonstream.local.free_ports import free_port
from axonstream.process.exit_codes import UNREACHABLE
from axonstream.settings.settings import Settings
from kit.audit_entries import an_entry
from kit.dead_letter_box import environment, letter, listed, put, run
from kit.gateway_process import gateway_process
from kit.sample_events import event_value

SECRET = "a server secret of this test"
HEADERS = {"X-API-Key": "ak_local", "x-tenant-id": "1"}

DIES_BEFORE_ITS_MARK = """
import os, signal
from axonstream.sinks.dead_letters.store import DeadLetterStore
async def decide(*_): os.kill(os.getpid(), signal.SIGKILL)
DeadLetterStore.decide = decide
from axonstream.cli.main import main
main()
"""


def of_keys(settings: Settings, *words: str) -> Result:
    variables = environment(settings) | {"AXONSTREAM_SERVER_SECRET": SECRET}
    done = CliRunner().invoke(keys, [*words, "--data-dir", str(settings.data_dir)], env=variables)
    assert done.exit_code == 0, done.output
    return done


def audited(settings: Settings, *words: str) -> Result:
    return CliRunner().invoke(audit, ["list", *words, "--data-dir", str(settings.data_dir)], env=environment(settings))


def entries(settings: Settings, *words: str) -> list[dict[str, Any]]:
    done = audited(settings, "-o", "json", *words)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


async def write(settings: Settings, *made: Any) -> None:
    control = ControlLog(settings, ControlData())
    try:
        for one in made:
            await control.enter(one)
    finally:
        await control.stop()


@pytest.mark.services
def test_keys_made_and_revoked_are_listed_with_the_user_the_host_and_what_they_may(server_settings: Settings) -> None:
    """Section 6: nothing said who had made or revoked a key."""
    key = json.loads(of_keys(server_settings, "create", "--tenant", "3", "--name", "ci", "-o", "json").stdout)
    of_keys(server_settings, "revoke", str(key["id"]))
    revoked, created = entries(server_settings)
    fields = {
        "name": "ci", "creator": key["creator"], "scopes": ["ingest", "read"], "public": False, "origins": [],
        "created_at": created["at"], "expires_at": None,
    }  # fmt: skip
    for one, action, before, after in (
        (created, "key.create", None, fields),
        (revoked, "key.revoke", fields, None),
    ):
        assert (one["action"], one["subject"], one["tenant_id"]) == (action, f"key {key['id']}", "3")
        assert (one["who"], one["origin"]) == tuple(command_actor())
        assert one["origin"] == f"host {socket.gethostname()}"
        assert (one["before"], one["after"]) == (before, after)
    assert created["at"] <= revoked["at"]
    assert key["key"] not in audited(server_settings, "-o", "json").stdout


@pytest.mark.services
def test_what_two_gateways_did_is_listed_also_after_both_have_ended(server_settings: Settings) -> None:
    async def scenario() -> list[int]:
        made: list[int] = []
        for app in (create_app(server_settings), create_app(server_settings)):
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client,
            ):
                await app.connected.wait()
                answer = await client.post("/apps", headers=HEADERS, json={"name": "a"})
                made.append(answer.json()["id"])
                event = {"identifier": "a", "payload": {}, "channel_id": 57}
                assert (await client.post("/event", headers=HEADERS, json=event)).status_code == 201
        return made

    one, other = asyncio.run(scenario())
    found = entries(server_settings, "--tenant", "1")
    assert [(row["action"], row["subject"]) for row in found] == [
        ("app.create", f"app {other}"),
        ("channel.publish", "channel 57"),
        ("app.create", f"app {one}"),
    ]
    assert {row["origin"] for row in found} == {"127.0.0.1"}
    assert {row["who"][:11] for row in found} == {"static key "}


@pytest.mark.services
def test_a_running_gateway_does_not_believe_what_a_client_says_of_its_address(server_settings: Settings) -> None:
    port = free_port()
    with gateway_process(server_settings, port) as (_, printed):
        assert printed.readline() == "ready gateway\n"
        claims = {"X-Forwarded-For": "9.9.9.9", "Forwarded": "for=9.9.9.9", "X-Real-IP": "9.9.9.9"}
        address = f"http://127.0.0.1:{port}/apps"
        assert httpx.post(address, headers=HEADERS | claims, json={"name": "a"}).status_code == 201
    assert entries(server_settings)[0]["origin"] == "127.0.0.1"


@pytest.mark.services
def test_letters_replayed_and_discarded_are_listed_with_their_places_reasons_and_tenants(
    server_settings: Settings,
) -> None:
    """Section 6: nothing said who had discarded a dead letter."""
    settings, good = server_settings, event_value("tr_1", 1)
    letters = [letter(settings, offset, good) for offset in (1, 2, 3, 7)]
    asyncio.run(put(settings, [*letters, letter(settings, 9, b"junk", "no JSON")]))
    assert run(settings, "discard", "--reason", "no JSON", "--dry-run").exit_code == 0
    assert run(settings, "replay", "--all-open", "--dry-run").exit_code == 3
    assert entries(settings) == []
    assert run(settings, "replay", "--reason", "for a test").exit_code == 0
    assert run(settings, "discard", "--all-open").exit_code == 0
    discarded, replayed = entries(settings, "--action", "dead-letters")
    topic = Topics(settings.topic_prefix).events
    assert (replayed["action"], replayed["subject"]) == ("dead-letters.replay", "4 dead letters")
    assert replayed["before"] == {
        "states": {"open": 4}, "letters": [f"{topic}/0@1-3,7 of epoch 1"], "tenants": {"1": 4},
        "reasons": {"for a test": 4},
    }  # fmt: skip
    assert replayed["after"] == {"state": "replayed"}
    assert (discarded["action"], discarded["subject"]) == ("dead-letters.discard", "1 dead letter")
    assert discarded["before"]["letters"] == [f"{topic}/0@9 of epoch 1"]
    assert discarded["after"] == {"state": "discarded"}
    assert {(row["who"], row["origin"]) for row in (replayed, discarded)} == {tuple(command_actor())}
    assert [row["action"] for row in entries(settings, "--tenant", "1")] == ["dead-letters.replay"]


@pytest.mark.services
@pytest.mark.parametrize("command", ["replay", "discard"])
def test_a_command_killed_before_it_decides_on_a_letter_has_left_its_entry(
    server_settings: Settings, command: str
) -> None:
    asyncio.run(put(server_settings, [letter(server_settings, 1, event_value("tr_1", 1))]))
    died = subprocess.run(
        [sys.executable, "-c", DIES_BEFORE_ITS_MARK, "dead-letters", command, "--all-open"],
        env={**os.environ, **environment(server_settings), "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
        check=False,
        capture_output=True,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(listed(server_settings)) == 1
    [one] = entries(server_settings)
    assert one["action"] == f"dead-letters.{command}"


@pytest.mark.services
@pytest.mark.parametrize("command", ["replay", "discard"])
def test_where_the_audit_log_cannot_be_written_no_letter_is_decided_on(server_settings: Settings, command: str) -> None:
    asyncio.run(put(server_settings, [letter(server_settings, 1, event_value("tr_1", 1))]))
    elsewhere = server_settings.model_copy(update={"topic_prefix": "no-such-"})
    asyncio.run(put(elsewhere, [letter(elsewhere, 2, event_value("tr_1", 1))]))
    done = run(elsewhere, command, "--offset", "2")
    assert done.exit_code == UNREACHABLE
    assert "the audit log cannot be written" in done.stderr
    assert "axonstream init" in done.stderr
    assert {row["offset"] for row in listed(server_settings)} == {1, 2}


@pytest.mark.services
def test_the_list_is_filtered_bounded_and_the_latest_first(server_settings: Settings) -> None:
    made = [an_entry(tenant, at=at) for at, tenant in enumerate(["1", "2", "a/b", "1", "1"])]
    asyncio.run(write(server_settings, *made))
    assert [row["at"] for row in entries(server_settings)] == [4, 3, 2, 1, 0]
    assert [row["at"] for row in entries(server_settings, "--tenant", "1")] == [4, 3, 0]
    assert [row["at"] for row in entries(server_settings, "--tenant", "a/b")] == [2]
    assert [row["at"] for row in entries(server_settings, "--since", "1970-01-01T00:00:00.003")] == [4, 3]
    assert entries(server_settings, "--action", "key") == []
    assert len(entries(server_settings, "--action", "app.create")) == 5
    few = audited(server_settings, "-o", "json", "--limit", "2")
    assert [row["at"] for row in json.loads(few.stdout)] == [4, 3]
    assert few.stderr == "more entries match: raise --limit (2)\n"


@pytest.mark.services
def test_an_entry_that_was_deleted_is_not_listed_and_a_strange_one_is_counted(server_settings: Settings) -> None:
    async def scenario() -> None:
        control = ControlLog(server_settings, ControlData())
        await control.start()
        try:
            await control.enter(an_entry(at=1))
            await control.catch_up()
            await control.forget([f"audit/1/{number}".encode() for number in control.data.audit.ids(b"audit/1")])
        finally:
            await control.stop()
        async with AIOKafkaProducer(**kafka_options(server_settings)) as producer:
            await producer.send_and_wait(Topics(server_settings.topic_prefix).control, b"{}", b"audit/1/7")
        await write(server_settings, an_entry(at=2))

    asyncio.run(scenario())
    done = audited(server_settings, "-o", "json")
    assert [row["at"] for row in json.loads(done.stdout)] == [2]
    assert done.stderr == "1 entries cannot be read: axonstream did not write them\n"


def test_without_kafka_it_is_one_line(tmp_path: Path) -> None:
    servers = {"AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}
    done = CliRunner().invoke(audit, ["list", "--data-dir", str(tmp_path)], env=servers)
    assert done.exit_code == UNREACHABLE
    assert "Traceback" not in done.output
    assert "check that Kafka runs at" in done.stderr


def test_an_entry_takes_80_columns_and_prints_nothing_of_a_sender_raw() -> None:
    hostile = "\x1b]0;title\x07 wide 你好 " + "x" * 200 + "\u202e\n"
    one = entry(
        Actor("user " + hostile, "host " + hostile), Action.APP_CHANGE, "app 7", at=1_796_000_000_000,
        tenant_id="tenant " + hostile, before={"name": hostile, "created_at": 5},
        after={"name": "", "channels": [1, 2]},
    )  # fmt: skip
    lines = list(entry_lines(one))
    assert max(map(cell_len, lines)) <= WIDTH
    assert all(line.isprintable() for line in lines)
    assert lines[0].startswith("2026-11-30T00:53:20Z  app.change  app 7  tenant")
    text = "\n".join(lines)
    for words in (
        "    by      user",
        "    before  name=",
        "created_at=1970-01-01",
        '    after   name=""',
        "channels=[1, 2]",
    ):
        assert words in text
