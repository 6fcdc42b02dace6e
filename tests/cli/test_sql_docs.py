"""docs/sql.md is true: its queries print what it shows, on the whole real way, and it names every column there is."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from statistics import median
from uuid import uuid4

import orjson
import pytest
from click.testing import CliRunner, Result

from axonstream import AxonPush, EventInput
from axonstream.cli.sample_traces import sample_events
from axonstream.cli.sql_command import sql
from axonstream.cli.trace_tree import build_nodes
from axonstream.settings.settings import Settings

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


def test_the_slowest_tools_are_those_of_trace_show(gateway_url: str, stack_settings: Settings) -> None:
    """Ends below the run's span, ends without a start, workers with the same spans, tools that call themselves."""
    environment = f"pairs_{uuid4().hex}"
    rows: list[tuple[int, str, str, str, str, str]] = []
    for call in range(20):  # 300 ms each, below the run's span: trace show said 29.3 s of the last
        rows.append((1500 * call, "looper", "start", "web_search", f"c{call}", "run"))
        rows.append((1500 * call + 300, "looper", "end", "web_search", f"c{call}", "run"))
    rows += [
        (100, "looper", "end", "lost", "l1", "run"),
        (100, "looper", "end", "lost", "l2", ""),
        (0, "writer", "start", "outer", "o", ""),
        (100, "writer", "start", "outer", "i", "o"),
        (200, "writer", "end", "outer", "i", "o"),
        (700, "writer", "end", "outer", "o", ""),
        (0, "plain", "start", "fetch", "", ""),
        (50, "plain", "start", "other", "", ""),
        (400, "plain", "end", "fetch", "", ""),
        (0, "child", "start", "own span", "s1", ""),
        (250, "child", "end", "own span", "s2", "s1"),
        (260, "child", "end", "another name", "s3", "s1"),
        (0, "a", "start", "shared", "0001", ""),
        (40, "b", "start", "shared", "0001", ""),
        (90, "a", "end", "shared done", "0001", ""),
        (240, "b", "end", "shared", "0001", ""),
    ]
    events = [
        EventInput(
            identifier=identifier,
            payload={},
            channel_id=1,
            agent_id=agent,
            trace_id=environment,
            span_id=span or None,
            parent_span_id=parent or None,
            event_type=f"agent.tool_call.{kind}",
            environment=environment,
            occurred_at=1_769_860_800_000 + at,
        )
        for at, agent, kind, identifier, span, parent in rows
    ]
    with AxonPush("ak_other", "2", base_url=gateway_url) as client:
        named = client.events.publish(
            "named", {}, 1, agent_id="n", trace_id=environment, event_type="agent.tool_call.start",
            environment=environment, occurred_at=1_769_860_800_000,
        )  # fmt: skip
        client.events.publish(
            "named", {}, 1, agent_id="n", trace_id=environment, event_type="agent.tool_call.end",
            environment=environment, occurred_at=1_769_860_800_333, parent_event_id=named.event_id, span_id="sp",
        )  # fmt: skip
        assert not client.events.publish_many(events).rejected
        nodes = build_nodes(client.traces.get_events(environment))
    shown = defaultdict[str, list[int]](list)
    for node in nodes:
        if node.start is not None and node.event.occurred_at and node.start.event.occurred_at:
            took = node.event.occurred_at - node.start.event.occurred_at
            shown[node.start.event.identifier].append(took // timedelta(milliseconds=1))
    assert shown == {
        "web_search": [300] * 20,
        "outer": [100, 700],
        "fetch": [400],
        "own span": [250],
        "shared": [90, 200],
        "named": [333],
    }
    [query] = [found["query"] for found in TITLED_BLOCK.finditer(DOCUMENT) if found["title"] == "Slowest tools"]
    result = ask(stack_settings, "-o", "json", "-", stdin=query.replace("'docs'", f"'{environment}'"))
    asked = {row["tool"]: (row["ended"], row["p50_ms"]) for row in orjson.loads(result.stdout)}
    assert asked == {tool: (len(times), median(times)) for tool, times in shown.items()}, result.stderr


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
