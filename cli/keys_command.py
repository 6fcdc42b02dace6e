"""`axonstream keys create|list|revoke`: API keys and public tokens, written straight to the control topic.

Who may write to Kafka may make keys: Kafka's ACLs are that boundary. Gateways know of a change within a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from axonstream.cli.checked_settings import checked_settings
from axonstream.cli.command_actor import command_actor, user_name
from axonstream.cli.terminal_text import HarmlessGroup, harmless, print_table, say, say_json
from axonstream.cli.time_text import span_ms
from axonstream.gateway.control.api_keys import KeyRefusedError, make_key, revocation
from axonstream.gateway.control.audit_entry import Action, entry, shown
from axonstream.gateway.control.credentials import KeyDigests, KeyScope
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.log import ControlLog
from axonstream.gateway.control.records import ApiKey
from axonstream.gateway.http.errors import UnavailableError
from axonstream.local.endpoints import with_endpoints
from axonstream.local.server_secret import server_secret
from axonstream.process.exit_codes import UnreachableError
from axonstream.settings.settings import Settings
from axonstream.unix_ms import iso_seconds, ms_of

Output = Literal["text", "json"]
T = TypeVar("T")

READ_WITHIN_S = 20.0
_DATA_DIR = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Data directory of the local stack.  [default: .axonstream]"
)
_OUTPUT = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)


@click.group(cls=HarmlessGroup)
def keys() -> None:
    """Make, list and revoke API keys.

    A key is shown once, when it is made; what is kept is its HMAC. Keys of AXONSTREAM_API_KEYS are not listed.
    """


@keys.command()
@click.option("--tenant", required=True, help="Tenant that the key gives access to.")
@click.option("--name", required=True, help="Purpose of the key; `keys list` shows it.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in KeyScope]),
    help="What the key may do; repeat the option for several.  [default: ingest and read]",
)
@click.option("--public", is_flag=True, help="A token pt_... that may only publish, to be sent in X-Public-Token.")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="A web page that may publish with the public token, as https://app.example; repeat the option for several.",
)
@click.option("--expires", metavar="TIME", help="30m, 12h, 90d, or ISO 8601 with a zone.  [default: never]")
@click.option("--creator", default=user_name, help="Name to record as the creator.  [default: your user name]")
@_OUTPUT
@_DATA_DIR
def create(
    tenant: str,
    name: str,
    scopes: tuple[str, ...],
    public: bool,
    origins: tuple[str, ...],
    expires: str | None,
    creator: str,
    output: Output,
    data_dir: Path | None,
) -> None:
    """Make a key and print it: the only time that it is shown."""
    default = [KeyScope.INGEST] if public else [KeyScope.INGEST, KeyScope.READ]
    wanted = [KeyScope(scope) for scope in scopes] or default
    now_ms = time.time_ns() // 1_000_000

    async def act(control: ControlLog, secret: bytes) -> tuple[str, ApiKey]:
        made = make_key(
            control.data,
            secret,
            tenant_id=tenant,
            name=name,
            creator=creator,
            scopes=wanted,
            public=public,
            now_ms=now_ms,
            expires_at=_expiry(expires, now_ms),
            origins=origins,
        )
        await control.write(
            [made.record],
            entry(
                command_actor(),
                Action.KEY_CREATE,
                f"key {made.kept.id}",
                at=now_ms,
                tenant_id=tenant,
                after=shown(made.kept),
            ),
        )
        return made.key, made.kept

    key, contents = _run(data_dir, act)
    if output == "json":
        say_json({"key": key, **_members(tenant, contents, None)})
        return
    say(
        f"key {contents.id} of tenant {tenant}, for {' and '.join(contents.scopes)}. It is not shown again:",
        to_stderr=True,
    )
    say(key)


@keys.command(name="list")
@click.option("--tenant", help="Only this tenant's.")
@_OUTPUT
@_DATA_DIR
def list_keys(tenant: str | None, output: Output, data_dir: Path | None) -> None:
    """Print all keys, the oldest first; expired ones, too, until they are revoked."""

    async def act(control: ControlLog, secret: bytes) -> list[tuple[dict[str, Any], str]]:
        now_ms = time.time_ns() // 1_000_000
        return [
            (_members(whose, key, used), _state(key, secret, now_ms))
            for whose, key, used in control.data.api_keys()
            if tenant in (None, whose)
        ]

    found = _run(data_dir, act)
    if output == "json":
        say_json([row | {"state": state} for row, state in found])
        return
    names = ["id", "tenant", "name", "scopes", "creator", "created", "last used", "expires", "state"]
    rows = [
        [
            str(row["id"]),
            row["tenant"],
            row["name"],
            _purpose(row),
            row["creator"],
            row["createdAt"],
            row["lastUsedAt"] or "never",
            row["expiresAt"] or "never",
            state,
        ]
        for row, state in found
    ]
    print_table(names, rows, [True] + [False] * 8)


@keys.command()
@click.argument("key_id", metavar="ID", type=int)
@_DATA_DIR
def revoke(key_id: int, data_dir: Path | None) -> None:
    """End the key ID (see the list): every gateway refuses it within a second."""

    async def act(control: ControlLog, _: bytes) -> str:
        for tenant, key, _used in control.data.api_keys():
            if key.id == key_id:
                revoked = entry(
                    command_actor(),
                    Action.KEY_REVOKE,
                    f"key {key_id}",
                    at=time.time_ns() // 1_000_000,
                    tenant_id=tenant,
                    before=shown(key),
                )
                await control.write(revocation(tenant, key_id), revoked)
                return f"revoked {key.name} of tenant {tenant}"
        raise click.ClickException(f"there is no key {key_id}; `axonstream keys list` prints them")

    say(harmless(_run(data_dir, act)))


def _run(data_dir: Path | None, act: Callable[[ControlLog, bytes], Coroutine[Any, Any, T]]) -> T:
    """What `act` returns on control data that is read; what goes wrong is one line."""
    settings = checked_settings()
    directory = data_dir or settings.data_dir
    secret = server_secret(settings, directory)
    settings = with_endpoints(settings, directory)
    try:
        return asyncio.run(_acted(settings, secret, act))
    except KeyRefusedError as error:
        raise click.ClickException(str(error)) from None
    except (UnavailableError, TimeoutError) as error:
        raise UnreachableError(
            f"{harmless(str(error)) or 'the control topic could not be read in time'}: check that Kafka runs at "
            f"{settings.kafka_bootstrap_servers} and that `axonstream init` has made the topics"
        ) from None


async def _acted(settings: Settings, secret: bytes, act: Callable[[ControlLog, bytes], Coroutine[Any, Any, T]]) -> T:
    control = ControlLog(settings, ControlData(secret))
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            await control.start()
        return await act(control, secret)
    finally:
        await control.stop()


def _expiry(text: str | None, now_ms: int) -> int | None:
    if text is None:
        return None
    if (span := span_ms(text)) is not None:
        return now_ms + span
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise KeyRefusedError("--expires takes 30m, 12h, 90d, or ISO 8601 with a zone, as 2027-01-31T12:00:00Z")
    return ms_of(at)


def _members(tenant: str, key: ApiKey, used: int | None) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": tenant,
        "name": key.name,
        "scopes": list(key.scopes),
        "public": key.public,
        "origins": list(key.origins),
        "creator": key.creator,
        "createdAt": _time(key.created_at),
        "lastUsedAt": _time(used),
        "expiresAt": _time(key.expires_at),
    }


def _purpose(row: dict[str, Any]) -> str:
    if not row["public"]:
        return " ".join(row["scopes"])
    return " ".join(["publishing only", *(["from", *row["origins"]] if row["origins"] else [])])


def _state(key: ApiKey, secret: bytes, now_ms: int) -> str:
    if key.secret_id not in KeyDigests(secret).secret_ids:
        return "of another server secret"
    return "expired" if key.expires_at is not None and key.expires_at <= now_ms else "active"


def _time(ms: int | None) -> str | None:
    return None if ms is None else iso_seconds(ms)
