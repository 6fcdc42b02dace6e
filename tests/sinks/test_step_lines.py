"""Steps are merged by the highest version; what is no step is refused by name."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.contract.deletion import Deletion, Late
from axonstream.contract.step_record import COLUMNS as STEP_FIELDS
from axonstream.contract.step_record import encode_step
from axonstream.kafka.topics import WATERMARK_KEY, state_key
from axonstream.run_summary import RUN_FIELDS
from axonstream.sinks.shown_schema import SCHEMA
from axonstream.sinks.summaries.summary_lines import COLUMNS, STEP_COLUMNS, HiddenSummaries, SummaryBatch
from kit.sample_events import NOW_MS, Record
from kit.sample_steps import key_of, step_of, step_on_log
from kit.sample_summaries import summary

LOG = "log"
RUN = {
    "root_kind": "agent",
    "root_name": "researcher",
    "root_status": "open",
    "last_failed": 1,
    "open_count": 2,
    "open_steps": [["agent", "researcher", "researcher", NOW_MS, 3], ["tool", "search", "researcher", NOW_MS, 4]],
    "cost_usd": "0.000000000001",
    "models": ["small"],
    "slowest_step": 0,
}


def summary_on_log(offset: int, **changed: Any) -> Record:
    """Of a run of which nothing is said but what is `changed`."""
    fields = {name: value for name, value in summary().items() if name not in RUN_FIELDS} | changed
    return Record("trace-summaries", 0, offset, state_key("1", fields["trace_id"]), orjson.dumps(fields))


def anew(folded: int) -> Record:
    return Record("trace-summaries", 0, 99, WATERMARK_KEY, orjson.dumps({"v": 1, "folded": folded, "anew": 1}))


@given(st.permutations(range(6)))
def test_the_newest_version_of_each_step_is_kept_whatever_the_order(order: list[int]) -> None:
    records = [step_on_log(at, step_of(step=version % 2, version=version)) for at, version in enumerate(order)]
    batch = SummaryBatch.of(records)
    rows = [orjson.loads(line) for line in batch.step_lines(3)]
    assert {(row["step"], row["version"]) for row in rows} == {(0, 4), (1, 5)}
    assert {row["_topic_epoch"] for row in rows} == {3}
    assert (batch.records, batch.size) == (6, sum(len(record.value or b"") for record in records))


def test_of_one_version_the_later_record_counts() -> None:
    records = [step_on_log(0, step_of(version=5, price="old")), step_on_log(1, step_of(version=5, price="new"))]
    assert [step.price for step in SummaryBatch.of(records).steps.values()] == ["new"]


def test_steps_of_two_partitions_and_traces_stay_apart() -> None:
    records = [step_on_log(0, step_of()), step_on_log(0, step_of(), partition=1), step_on_log(1, step_of("tr_2"))]
    assert len(list(SummaryBatch.of(records).step_lines(1))) == 3


def test_a_line_has_quoted_seconds_and_leaves_out_what_is_not_known() -> None:
    batch = SummaryBatch.of([step_on_log(0, step_of(started_at=5, cost_usd="0.10", input_tokens=0))])
    row = orjson.loads(next(iter(batch.step_lines(1))))
    assert row["started_at"] == "0000000000.005"
    assert row["arrived_at"] == f"{NOW_MS // 1000}.123"
    assert (row["cost_usd"], row["input_tokens"]) == ("0.10", 0)
    assert not {"ended_at", "output_tokens", "gone"} & row.keys()


WRONG: dict[str, dict[str, Any] | bytes | None] = {
    "no value": None,
    "no JSON": b"{",
    "of a later version": {"v": 2},
    "of nobody": {"tenant_id": ""},
    "without a step": {"step": -1},
    "with a text for a number": {"version": "7"},
    "with what nobody knows": {"more": 1},
    "with a cost that is no decimal": {"cost_usd": "1e-5"},
    "with a cost below 0": {"cost_usd": "-1"},
    "with a cost of 13 places": {"cost_usd": "0.0000000000001"},
    "with another key": {"trace_id": "tr_other"},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_step_is_refused_with_a_reason(wrong: str) -> None:
    good = step_of()
    value = WRONG[wrong]
    if isinstance(value, dict):
        value = orjson.dumps(orjson.loads(encode_step(good)) | value)
    batch = SummaryBatch.of([Record("trace-summaries", 0, 7, key_of(good), value), step_on_log(8, good)])
    assert [letter.offset for letter in batch.refused] == [7]
    assert "step" in batch.refused[0].reason
    assert len(batch.steps) == 1


def test_what_is_folded_anew_is_left_out_where_it_came_before() -> None:
    before = [step_on_log(at, step_of(step=0, version=at)) for at in (2, 4)]
    other = step_on_log(5, step_of(step=1, version=3), partition=1)
    behind = step_on_log(100, step_of(step=6, version=6))
    batch = SummaryBatch.of([*before, other, anew(4), behind])
    assert sorted((at[0], step.version) for at, step in batch.steps.items()) == [(0, 6), (1, 3)]
    assert batch.anew == {0: 4}


def test_a_step_that_began_before_its_trace_was_deleted_is_not_stored() -> None:
    deleted = DeletedTraces()
    deleted.put("1", Deletion(7, ("tr_1",), Late.STORED, 1_900_000_000_000, LOG, (5, 5)))
    records = [step_on_log(at, step_of(step=step, version=9)) for at, step in enumerate((4, 6))]
    batch = SummaryBatch.of([*records, step_on_log(3, step_of("tr_2", 4, 9))], HiddenSummaries(deleted, LOG))
    assert sorted((step.trace_id, step.step) for step in batch.steps.values()) == [("tr_1", 6), ("tr_2", 4)]
    assert batch.refused == []


def test_a_summary_says_how_its_run_stands() -> None:
    (line,) = SummaryBatch.of([summary_on_log(0, **RUN)]).lines(1)
    row = orjson.loads(line)
    assert {name: row[name] for name in RUN} == RUN | {"open_steps": orjson.dumps(RUN["open_steps"]).decode()}
    assert row["exact"] == 1
    assert "llm_call_count" not in row


@pytest.mark.parametrize(
    ("fields", "exact"),
    [
        ({"event_types": ["app.log"]}, 1),
        ({"event_types": ["app.log", "agent.error"]}, 0),
        ({"event_types": ["agent.tool_call.end"]}, 0),
        ({"event_types": ["agent.error"], "last_failed": 1}, 1),
        ({"event_types": ["agent.start"], "root_kind": "agent"}, 1),
    ],
)
def test_a_summary_without_a_word_of_its_steps_is_not_exact_where_there_may_be_some(
    fields: dict[str, Any], exact: int
) -> None:
    """It is of a processor that knew no steps."""
    (kept,) = SummaryBatch.of([summary_on_log(0, **fields)]).newest.values()
    assert kept.exact == exact


@pytest.mark.parametrize(
    "wrong",
    [
        {"last_failed": 2},
        {"open_count": 1 << 32},
        {"open_steps": "[]"},
        {"open_steps": [["tool", "search", "researcher", "now", 4]]},
        {"cost_usd": 1.5},
        {"cost_usd": "1.5 USD"},
        {"models": "small"},
        {"slowest_step": -2},
        {"input_tokens": -1},
    ],
)
def test_a_run_that_the_columns_cannot_hold_is_refused(wrong: dict[str, Any]) -> None:
    batch = SummaryBatch.of([summary_on_log(0, **RUN | wrong)])
    assert [next(iter(wrong)) in letter.reason for letter in batch.refused] == [True]


def columns_of(table: str) -> dict[str, str]:
    """Of schema.sql: name -> type and what stands behind it."""
    created = re.search(rf"^CREATE TABLE {table}\n\((.*?)^\)", SCHEMA.read_text(), re.DOTALL | re.MULTILINE)
    assert created is not None
    return dict(re.findall(r"^    `(\w+)` (.*?),?$", created[1], re.MULTILINE))


def test_each_field_of_a_run_is_a_column_with_its_type_and_default() -> None:
    columns = columns_of("trace_summaries")
    for name, (of, default) in RUN_FIELDS.items():
        kind, _, codec = of.partition(" CODEC")
        shown = " DEFAULT '[]'" if name == "open_steps" else f" DEFAULT {default}" if default == -1 else ""
        assert columns[name] == f"{kind}{shown}{' CODEC' if codec else ''}{codec}", name
        assert name in COLUMNS.split(", ")


def test_each_field_of_a_step_is_a_column() -> None:
    columns = columns_of("steps_log")
    assert [*columns] == [*STEP_COLUMNS.split(", "), "_stored_at"]
    assert set(STEP_FIELDS) < set(columns)
    known = re.search(r"^CREATE VIEW steps\n\((.*?)^\)", SCHEMA.read_text(), re.DOTALL | re.MULTILINE)
    assert known is not None
    assert set(re.findall(r"`(\w+)`", known[1])) == set(STEP_FIELDS) - {"version", "gone"}
