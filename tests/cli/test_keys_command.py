"""`axonstream keys` on real Kafka, with two gateways that have to know of every change within a second."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr

from axonstream.cli.keys_command import keys
from axonstream.gateway.app import create_app
from axonstream.local.free_ports import free_port
from axonstream.local.server_secret import kept_secret
from axonstream.process.exit_codes import NO_SECRET, UNREACHABLE
from axonstream.settings.settings import Settings
from kit.until import until

SECRET = "a server secret of this test"
EVENT: dict[str, Any] = {"identifier": "step", "payload": {}, "channel_id": 1}


def run(settings: Settings, *words: str, secret: str = SECRET) -> Result:
    environment = {
        "AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "AXONSTREAM_TOPIC_PREFIX": settings.topic_prefix,
        "AXONSTREAM_PUBLISH_TIMEOUT_MS": str(settings.publish_timeout_ms),
        "AXONSTREAM_SERVER_SECRET": secret,
    }
    return CliRunner().invoke(keys, [*words, "--data-dir", str(settings.data_dir)], env=environment)


def created(settings: Settings, *words: str) -> dict[str, Any]:
    done = run(settings, "create", "--tenant", "3", "--name", "ci", "-o", "json", *words)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def listed(settings: Settings, *words: str) -> list[dict[str, Any]]:
    done = run(settings, "list", "-o", "json", *words)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    app = create_app(settings.model_copy(update={"server_secret": SecretStr(SECRET)}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        await app.connected.wait()
        yield client


async def status(client: httpx.AsyncClient, key: str) -> int:
    return (await client.post("/event", json=EVENT, headers={"x-axonpush-api-key": key})).status_code


@pytest.mark.services
def test_two_gateways_know_a_new_key_and_its_revocation_within_a_second(server_settings: Settings) -> None:
    """What makes it a second is in test_control_log.py; a busy machine adds to it."""

    async def known(client: httpx.AsyncClient, key: str, expected: int) -> None:
        async def answers() -> bool:
            return await status(client, key) == expected

        await until(answers, f"the answer is {expected}", 60)

    async def scenario() -> None:
        async with gateway(server_settings) as one, gateway(server_settings) as other:
            key = await asyncio.to_thread(created, server_settings)
            for client in (one, other):
                await known(client, key["key"], 200)
            done = await asyncio.to_thread(run, server_settings, "revoke", str(key["id"]))
            assert done.stdout == "revoked ci of tenant 3\n"
            for client in (one, other):
                await known(client, key["key"], 401)
            assert await asyncio.to_thread(listed, server_settings) == []
            public = await asyncio.to_thread(created, server_settings, "--public")
            await known(other, public["key"], 200)

            async def use_is_listed() -> bool:
                [row] = await asyncio.to_thread(listed, server_settings)
                return row["lastUsedAt"] is not None

            await until(use_is_listed, "the last use is listed", 60)
        async with gateway(server_settings) as restarted:
            assert await status(restarted, public["key"]) == 200
            assert await status(restarted, key["key"]) == 401

    asyncio.run(scenario())


@pytest.mark.services
def test_the_list_says_what_each_key_is_for(server_settings: Settings) -> None:
    created(server_settings, "--scope", "admin", "--expires", "90d", "--creator", "ana")
    created(server_settings, "--public", "--origin", "https://app.example", "--origin", "http://localhost:3000")
    [first, second] = listed(server_settings)
    assert (first["scopes"], first["creator"], first["state"], first["lastUsedAt"]) == (
        ["admin"],
        "ana",
        "active",
        None,
    )
    assert first["expiresAt"] > first["createdAt"]
    assert (second["scopes"], second["public"], second["expiresAt"]) == (["ingest"], True, None)
    assert listed(server_settings, "--tenant", "4") == []
    table = run(server_settings, "list").stdout
    assert "publishing only from http://localhost:3000 https://app.example" in table
    assert second["origins"] == ["http://localhost:3000", "https://app.example"]
    assert "key" not in first
    other = run(server_settings, "list", "-o", "json", secret="another server secret here")
    assert {row["state"] for row in json.loads(other.stdout)} == {"of another server secret"}


@pytest.mark.services
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create", "--tenant", "3", "--name", "x", "--expires", "tomorrow"], "--expires takes"),
        (["create", "--tenant", "3", "--name", "x", "--expires", "2020-01-01T00:00:00Z"], "expired already"),
        (["create", "--tenant", "3", "--name", "x", "--public", "--scope", "read"], "may only publish"),
        (["create", "--tenant", "3", "--name", "x", "--origin", "https://app.example"], "public tokens alone"),
        (["create", "--tenant", "3", "--name", "x", "--public", "--origin", "*"], "an origin reads"),
        (["revoke", "12345"], "there is no key 12345"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(server_settings: Settings, words: list[str], said: str) -> None:
    done = run(server_settings, *words)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert said in done.stderr


@pytest.mark.slow
def test_without_kafka_it_says_what_to_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axonstream.cli.keys_command.READ_WITHIN_S", 1.0)
    nowhere = Settings(kafka_bootstrap_servers=f"127.0.0.1:{free_port()}", data_dir=tmp_path)
    done = run(nowhere, "list")
    assert done.exit_code == UNREACHABLE
    assert "check that Kafka runs" in done.stderr


def test_without_a_server_secret_it_says_how_to_have_one(tmp_path: Path) -> None:
    done = run(Settings(data_dir=tmp_path), "list", secret="")
    assert done.exit_code == NO_SECRET
    assert done.stderr.startswith(f"Error: {tmp_path} is not the data directory of a stack: start one with")
    assert "AXONSTREAM_SERVER_SECRET" in done.stderr


def test_the_local_stack_makes_its_secret_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = kept_secret(tmp_path)
    assert len(first) == 64
    assert kept_secret(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "server-secret").stat().st_mode) == 0o600


def test_a_user_without_a_name_makes_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("pwd.getpwuid", nobody)
    refused = CliRunner().invoke(
        keys, ["create", "--tenant", "3", "--name", "ci"], env={"AXONSTREAM_DATA_DIR": "/none"}
    )
    assert "AXONSTREAM_SERVER_SECRET" in refused.output
