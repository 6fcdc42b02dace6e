"""`axonstream audit list`: who created, changed, revoked, replayed or discarded what."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

import click
from aiokafka.errors import KafkaError

from axonstream.cli.audit_view import print_entries
from axonstream.cli.checked_settings import checked_settings
from axonstream.cli.dead_letters_options import Time
from axonstream.cli.terminal_text import HarmlessGroup, harmless, say
from axonstream.gateway.control.audit_entry import Action, AuditEntry
from axonstream.gateway.control.audit_log import read_newest
from axonstream.local.endpoints import with_endpoints
from axonstream.process.exit_codes import UnreachableError

READ_WITHIN_S = 120.0
_ACTIONS = sorted({words for action in Action for words in (action.value, action.partition(".")[0])})


@click.group(cls=HarmlessGroup)
def audit() -> None:
    """Look at the audit log: who did what, from where and when, and what it was before and after.

    It holds what was done to keys, apps, channels, webhook endpoints, prices and dead letters. Refused attempts are not
    in it.
    """


@audit.command(name="list")
@click.option("--tenant", help="Only entries about this tenant, or about dead letters that name it.")
@click.option("--action", type=click.Choice(_ACTIONS), metavar="ACTION", help=f"One of: {', '.join(_ACTIONS)}.")
@click.option("--since", type=Time(), help="30m, 12h, 7d ago, or ISO 8601; UTC where no zone is given.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Data directory of the local stack.  [default: .axonstream]"
)
def list_entries(
    tenant: str | None,
    action: str | None,
    since: int | None,
    limit: int,
    output: Literal["text", "json"],
    data_dir: Path | None,
) -> None:
    """Print the entries that match, the latest first. Times are UTC, by the clock of the machine that wrote them."""
    settings = checked_settings()
    settings = with_endpoints(settings, data_dir or settings.data_dir)

    def wanted(one: AuditEntry) -> bool:
        return (
            (tenant is None or tenant == one.tenant_id or tenant in one.claimed_tenants)
            and (action is None or one.action == action or one.action.startswith(f"{action}."))
            and (since is None or one.at >= since)
        )

    async def read() -> tuple[list[AuditEntry], int]:
        async with asyncio.timeout(READ_WITHIN_S):
            return await read_newest(settings, limit + 1, wanted)

    try:
        entries, unreadable = asyncio.run(read())
    except (KafkaError, OSError, TimeoutError) as error:
        raise UnreachableError(
            f"the audit log cannot be read ({harmless(str(error) or repr(error))}): check that Kafka runs at "
            f"{settings.kafka_bootstrap_servers} and that `axonstream init` has made the topics"
        ) from None
    entries.reverse()
    print_entries(entries[:limit], output)
    if len(entries) > limit:
        say(f"more entries match: raise --limit ({limit})", to_stderr=True)
    if unreadable:
        say(f"{unreadable} entries cannot be read: axonstream did not write them", to_stderr=True)
