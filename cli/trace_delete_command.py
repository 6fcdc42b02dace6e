"""`axonstream trace delete`: one trace, those of a session or a user, or all of a tenant; asked before it is done."""

from __future__ import annotations

from pathlib import Path

import click

from axonstream import AxonPush, Deletion
from axonstream.cli.terminal_text import harmless, say, say_json
from axonstream.cli.trace_command import Output, connected, said_plainly, server_options
from axonstream.errors import NotFoundError

_KEPT_OUT = "Unless late events are stored, no one can publish for it any more."


@click.command()
@click.argument("trace_id", metavar="[ID]", required=False)
@click.option("--session", help="All traces whose events have this sessionId in their metadata.")
@click.option("--user", help="All traces whose events have this userId in their metadata.")
@click.option("--everything", is_flag=True, help="Everything of the tenant; name it with --tenant.")
@click.option(
    "--late",
    type=click.Choice(["refused", "stored"]),
    help="What happens to events that arrive later.  [default: AXONSTREAM_LATE_EVENTS of the gateway]",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@server_options
def delete(
    trace_id: str | None,
    session: str | None,
    user: str | None,
    everything: bool,
    late: str | None,
    yes: bool,
    url: str | None,
    api_key: str | None,
    tenant: str | None,
    data_dir: Path | None,
    output: Output,
) -> None:
    """Delete trace ID for good: events, summary, dead letters. The key needs the scope admin."""
    if sum((trace_id is not None, session is not None, user is not None, everything)) != 1:
        raise click.UsageError("name one: a trace ID, --session, --user, or --everything")
    if everything and not tenant:
        raise click.UsageError("--everything deletes all that a tenant has: name it with --tenant")
    what = _meant(trace_id, session, user, tenant)
    if not yes:
        kept_out = "" if not everything or late == "stored" else f" {_KEPT_OUT}"
        click.confirm(f"Delete {what} for good?{kept_out}", abort=True, err=True)
    with connected(url, api_key, tenant, data_dir) as client, said_plainly(trace_id or ""):
        if trace_id is not None:
            done = client.traces.delete(trace_id, late=late)
        else:
            done = _delete_many(client, session, user, tenant if everything else None, late)
    if output == "json":
        say_json({"traces": done.traces, "late": done.late, "deletionIds": list(done.deletion_ids)})
    else:
        say(_told(what, done))


def _delete_many(
    client: AxonPush, session: str | None, user: str | None, tenant: str | None, late: str | None
) -> Deletion:
    try:
        return client.traces.delete_many(session_id=session, user_id=user, tenant_id=tenant, late=late)
    except NotFoundError as error:
        raise click.ClickException(str(error)) from None  # it is no single trace that is missing


def _meant(trace_id: str | None, session: str | None, user: str | None, tenant: str | None) -> str:
    if trace_id is not None:
        return f"trace {harmless(trace_id)}"
    if session is not None:
        return f"the traces of session {harmless(session)}"
    if user is not None:
        return f"the traces of user {harmless(user)}"
    return f"ALL traces of tenant {harmless(tenant or '')}"


def _told(what: str, done: Deletion) -> str:
    number = "" if done.traces in (None, 1) else f" ({done.traces:,} traces)"
    return (
        f"deleted: {what}{number}. Nothing of it is shown from now on, later events are {done.late}. ClickHouse "
        "deletes the rows in the background; `axonstream verify` says whether it has finished"
    )
