"""The table of counters, and what follows it without being derived from it. Each failure names the counter."""

from __future__ import annotations

import ast
import inspect
import re

from axonstream import summary_counters
from axonstream.results import TraceSummary
from axonstream.sinks.shown_schema import SCHEMA
from axonstream.sinks.summaries.summary_lines import TraceSummary as Record
from axonstream.summary_counters import COUNTERS, NAMES, OLDEST, lacks_counts


def test_the_oldest_counters_keep_their_places() -> None:
    """Changelog and records of every version have them."""
    assert NAMES[:OLDEST] == ("error_count", "tool_call_count", "handoff_count")


def test_type_checkers_know_each_counter() -> None:
    classes = [
        node for node in ast.walk(ast.parse(inspect.getsource(summary_counters))) if isinstance(node, ast.ClassDef)
    ]
    (attributes,) = [node for node in classes if node.name == "CounterAttributes"]
    known = {
        node.target.id
        for node in attributes.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    assert known ^ set(NAMES) == set()


def test_records_and_results_have_each_counter() -> None:
    for form in (Record, TraceSummary):
        assert [name for name in NAMES if name not in form.model_fields] == []


def test_each_counter_is_a_column_of_the_table_and_of_the_view() -> None:
    for name in ("VIEW traces", "TABLE trace_summaries"):
        created = re.search(rf"^CREATE {name}\n\((.*?)^\)", SCHEMA.read_text(), re.DOTALL | re.MULTILINE)
        assert created is not None
        assert [name for name in NAMES if f"    `{name}` UInt64,\n" not in created[1]] == []


def test_a_summary_of_fewer_counters_says_too_little_of_the_types_that_the_others_count() -> None:
    assert not lacks_counts(len(COUNTERS), [counter.event_types[0] for counter in COUNTERS])
    assert lacks_counts(1, ["agent.tool_call.start", "custom"])
    assert not lacks_counts(1, ["agent.error", "custom"])
