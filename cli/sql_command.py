"""`axonstream sql`: one read-only query against the ClickHouse of the settings, or of the local stack."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Literal

import click
import httpx
import orjson

from axonstream.cli.checked_settings import checked_settings
from axonstream.cli.id_texts import rows_as_objects
from axonstream.cli.terminal_text import harmless, print_table, say
from axonstream.errors import ValidationError
from axonstream.http_environment import connecting
from axonstream.local.endpoints import with_endpoints
from axonstream.process.exit_codes import SettingsError, UnreachableError
from axonstream.settings.settings import Settings

Output = Literal["table", "json", "csv"]

_FORMATS: dict[str, str] = {
    "table": "JSONCompactStringsEachRowWithNamesAndTypes",
    "json": "JSONCompactEachRowWithNamesAndTypes",
    "csv": "CSVWithNames",
}
_NUMBER = re.compile(r"(Nullable\(|LowCardinality\()*(U?Int|Float|Decimal)\d")
_NOISE = re.compile(r"^Code: \d+\. DB::Exception: |\s*Expected one of: .*|\s*\(version [^)]*\)\s*$", re.DOTALL)
_HINTS = {
    "47": "docs/sql.md names every column; DESCRIBE events lists them",
    "60": "docs/sql.md names every table and view; SHOW TABLES lists them",
    "81": "`axonstream init` makes the database; AXONSTREAM_CLICKHOUSE_DATABASE names it",
    "164": "`axonstream sql` only reads",
    "497": "`axonstream sql` reads tables, and nothing else of this machine",
    "516": "set AXONSTREAM_CLICKHOUSE_USER and AXONSTREAM_CLICKHOUSE_PASSWORD",
}


@click.command()
@click.argument("query")
@click.option("-o", "--output", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Data directory of the local stack.  [default: .axonstream]"
)
def sql(query: str, output: Output, data_dir: Path | None) -> None:
    """Print the answer to a SQL QUERY (- reads it from stdin).

    It reads tables; it cannot change anything, nor read files. docs/sql.md has the tables, views and columns. A
    FORMAT in the query itself wins over --output.
    """
    settings = checked_settings()
    text = sys.stdin.read() if query == "-" else query
    if not text.strip(" \t\r\n;"):
        raise click.ClickException("the query is empty; try: axonstream sql 'SELECT count() FROM events'")
    answer = _ask(with_endpoints(settings, data_dir or settings.data_dir), text, output)
    if output == "table" and answer.headers.get("X-ClickHouse-Format") == _FORMATS["table"]:
        _print_rows(answer.content)
        return
    content = answer.content
    if output == "json" and answer.headers.get("X-ClickHouse-Format") == _FORMATS["json"]:
        content = rows_as_objects(content)
    if sys.stdout.isatty():
        for line in content.decode("utf-8", "replace").splitlines():
            say(line)
    else:
        click.get_binary_stream("stdout").write(content)


def _ask(settings: Settings, query: str, output: Output) -> httpx.Response:
    """The whole answer: `wait_end_of_query` makes the server send no status before the query has succeeded."""
    url = settings.clickhouse_url
    parameters = {
        "database": settings.clickhouse_database,
        "default_format": _FORMATS[output],
        "readonly": "1",
        "wait_end_of_query": "1",
        "output_format_json_array_of_rows": "1",
        "output_format_json_quote_64bit_integers": "0",
        "date_time_output_format": "iso",
    }
    headers = {
        "X-ClickHouse-User": settings.clickhouse_user,
        "X-ClickHouse-Key": settings.clickhouse_password.get_secret_value(),
    }
    try:
        how = connecting(url)
        answer = httpx.post(
            url,
            params=parameters,
            headers=headers,
            content=query.encode(),
            timeout=httpx.Timeout(None, connect=5),
            proxy=how.proxy,
            verify=how.verify,
            trust_env=False,
        )
    except ValidationError as error:
        raise SettingsError(str(error)) from None
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise UnreachableError(
            f"no ClickHouse answers at {url} ({error}): start the stack with `axonstream up`, "
            "or set AXONSTREAM_CLICKHOUSE_URL"
        ) from None
    if answer.is_success:
        return answer
    reason = harmless(" ".join(_NOISE.sub("", answer.text).split())) or f"ClickHouse answered {answer.status_code}"
    hint = _HINTS.get(answer.headers.get("X-ClickHouse-Exception-Code", ""))
    raise click.ClickException(f"{reason} ({hint})" if hint else reason)


def _print_rows(body: bytes) -> None:
    """The first line holds the names of the columns, the second their types."""
    names, types, *rows = [
        [cell if isinstance(cell, str) else str(cell) for cell in orjson.loads(line)]
        for line in body.decode("utf-8", "replace").split("\n")
        if line
    ] or ([], [])
    if names:
        print_table(names, rows, [bool(_NUMBER.match(type_name)) for type_name in types])
