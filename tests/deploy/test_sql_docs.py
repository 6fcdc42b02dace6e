"""docs/sql.md is true: its queries print what it shows, on the whole real way, and it names every column there is."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from axonstream import AxonPush
from deploy.sample_traces import sample_events
from deploy.sql_command import sql
from producers.settings import Settings

pytestmark = pytest.mark.services

DOCUMENT = (Path(__file__).parents[2] / "docs" / "sql.md").read_text()
TITLED_BLOCK = re.compile(
    r"^### (?P<title>[^\n]+)\n(?:(?!^### ).)*?```sql\n(?P<query>.*?)```\n\n```text\n(?P<text>.*?)```",
    re.MULTILINE | re.DOTALL,
)
QUERIES = [pytest.param(found["query"], found["text"], id=found["title"]) for found in TITLED_BLOCK.finditer(DOCUMENT)]


def ask(settings: Settings, *arguments: str, stdin: str = "") -> Result:
    environment = {
        "AXONSTREAM_CLICKHOUSE_URL": settings.clickhouse_url,
        "AXONSTREAM_CLICKHOUSE_DATABASE": settings.clickhouse_database,
    }
    return CliRunner().invoke(sql, arguments, input=stdin, env=environment)


@pytest.fixture(scope="module")
def samples(gateway_url: str, stack_settings: Settings) -> Settings:
    """The samples, published through the gateway and readable; they have dedup keys, so once is enough."""
    with AxonPush("ak_other", "2", base_url=gateway_url) as client:
        batch = client.events.publish_many(sample_events())
        assert not batch.rejected
        for trace_id in {event.trace_id for event in sample_events()}:
            assert not client.traces.get_summary(trace_id or "").stale
    return stack_settings


def test_every_query_of_the_document_is_tested() -> None:
    assert len(QUERIES) == DOCUMENT.count("```sql") >= 6


@pytest.mark.parametrize(("query", "text"), QUERIES)
def test_a_query_prints_what_the_document_shows(samples: Settings, query: str, text: str) -> None:
    result = ask(samples, "-", stdin=query)
    assert (result.exit_code, result.stdout) == (0, text), result.stderr


def test_the_document_names_every_table_and_column_with_its_type(stack_settings: Settings) -> None:
    section = DOCUMENT[DOCUMENT.index("## Tables and views") :]
    documented: dict[str, dict[str, str]] = {}
    for part in re.split(r"^### ", section, flags=re.MULTILINE)[1:]:
        columns = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| \S", part, re.MULTILINE)
        documented[part.split("`")[1]] = dict(columns)
        assert len(dict(columns)) == len(columns)

    # An ephemeral column is only there for an INSERT to name; nothing is stored in it.
    stored = "database = currentDatabase() AND default_kind != 'EPHEMERAL'"
    result = ask(stack_settings, "-o", "json", f"SELECT table, name, type FROM system.columns WHERE {stored}")
    actual: dict[str, dict[str, str]] = {}
    for row in orjson.loads(result.stdout):
        actual.setdefault(row["table"], {})[row["name"]] = row["type"]
    assert documented == actual
