"""What one more field and one more counter take: in a copy of the project, a change of their table and a migration.

Then the copy's own parts validate the field as a request's, record it, store it in the real ClickHouse engine, and
answer it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "build", "results", "__pycache__", "node_modules")

FIELDS, COUNTERS = "axonstream/event_fields.py", "axonstream/summary_counters.py"
EDITS = {
    FIELDS: (
        (
            '    EventField("source", Text(1)',
            (
                '    EventField("sample_note", Text(), "String", "a note"),\n'
                '    EventField("sample_size", Whole(), "Nullable(UInt64)", "a size"),\n'
                '    EventField("source", Text(1)'
            ),
        ),
        (
            "    environment: str | None\n",
            "    environment: str | None\n    sample_note: str | None\n    sample_size: int | None\n",
        ),
        (
            "    environment: str | Missing\n",
            "    environment: str | Missing\n    sample_note: str | Missing\n    sample_size: int | None\n",
        ),
    ),
    COUNTERS: (
        (
            '    Counter("handoff_count", ("agent.handoff",)),\n',
            '    Counter("handoff_count", ("agent.handoff",)),\n    Counter("message_count", ("agent.message",)),\n',
        ),
        ("        handoff_count: int = 0\n", "        handoff_count: int = 0\n        message_count: int = 0\n"),
    ),
}
FIELD_MIGRATION = """
ALTER TABLE ${database}.events_log ${on_cluster} ADD COLUMN IF NOT EXISTS sample_note String CODEC(ZSTD(1));
ALTER TABLE ${database}.events_log ${on_cluster} ADD COLUMN IF NOT EXISTS sample_size Nullable(UInt64) CODEC(ZSTD(1));
"""
COUNTER_MIGRATION = """
ALTER TABLE ${database}.trace_summaries ${on_cluster}
ADD COLUMN IF NOT EXISTS message_count UInt64 AFTER handoff_count;
ALTER TABLE ${database}.trace_summaries ${on_cluster}
UPDATE exact = 0 WHERE exact = 1 AND has(event_types, 'agent.message');
"""

PROGRAM = r"""
import asyncio, socket, subprocess, sys
from types import SimpleNamespace
import orjson
from axonstream.calls import publish_call
from axonstream.event_fields import FIELDS
from axonstream.gateway.routing.answers import StoredEvent, event_answer, trace_answer
from axonstream.gateway.control.credentials import ApiVersion
from axonstream.gateway.openapi import document
from axonstream.gateway.publishing.event_validation import InvalidEventError, validate_event
from axonstream.gateway.reading import trace_queries
from axonstream.gateway.reading.recompute import RECOMPUTED
from axonstream.contract.event_record import encode_event
from axonstream.settings.settings import Settings
from axonstream.kafka.topics import state_key
from axonstream.contract.record_validation import validate_record
from axonstream.results import Event, TraceListItem
from axonstream.clickhouse.client import connect_blocking
from axonstream.sinks.events.event_batch import EventBatch
from axonstream.sinks.events.event_store import COLUMNS
from axonstream.sinks.schema import migrate
from axonstream.sinks.summaries.summary_lines import COLUMNS as SUMMARY_COLUMNS, SummaryBatch
from axonstream.sinks.verification.contents import _ROWS, hash_of_line
from axonstream.stream_processors.fold import fold_event, new_state
from axonstream.stream_processors.snapshots import summary_record
from axonstream.stream_processors.trace_state import pack_state, unpack_state
import axonstream

print(axonstream.__file__)
named = {"trace_id": "tr_1", "event_type": "agent.message", "sample_note": "hello", "sample_size": 0}
sent = orjson.loads(publish_call("step", {"a": 1}, 1, named, None).body)
assert (sent["sampleNote"], sent["sampleSize"]) == ("hello", 0)
sizes = [{"sampleSize": size} for size in (True, "5", 1.0, -1, 1 << 63)]
for wrong in ({"sampleNote": 5}, {"sampleNote": "x" * 257}, *sizes):
    try:
        validate_event(sent | wrong, None)
    except InvalidEventError as error:
        assert next(iter(wrong)) in str(error)
    else:
        raise AssertionError(wrong)

records = []
for offset, fields in enumerate((sent, sent | {"sampleNote": None, "sampleSize": None, "dedupKey": "other"})):
    event = validate_event(fields, None)
    value = encode_event(event, tenant_id="1", trace_id="tr_1", fresh_id=7, now_ms=1790000000000).value
    records.append(SimpleNamespace(key=b"tr_1", value=value, offset=offset, timestamp=1790000000123, partition=0))
assert (orjson.loads(records[0].value)["sample_note"], orjson.loads(records[0].value)["sample_size"]) == ("hello", 0)
assert not {"sample_note", "sample_size"} & orjson.loads(records[1].value).keys()
batch = EventBatch(1)
batch.add(records)
assert not batch.refused
read = [validate_record(record.key, record.value) for record in records]
state = new_state(read[0], 0)
for offset, event in enumerate(read):
    fold_event(state, event, offset)
key = state_key("1", "tr_1")
assert unpack_state(key, pack_state(state), {}).counts == state.counts == [0, 0, 0, 2]
packed = pack_state(state)
assert packed[8] == 4
older = packed[:8] + b"\3" + packed[9:74] + packed[82:]  # as a version without the counter has it
before = unpack_state(key, older, {})
assert (before.counts, before.event_count, before.exact) == ([0, 0, 0, 0], 2, False)
assert (before.event_types, before.ids.tail) == (state.event_types, state.ids.tail)
summary = SimpleNamespace(key=key, value=summary_record(key, state)[1], partition=0, offset=0)
summaries = SummaryBatch.of([summary])
assert not summaries.refused
older = orjson.loads(summary.value)
del older["message_count"]  # of a processor of the version before: it did not count them
told_short = SummaryBatch.of([SimpleNamespace(**vars(summary) | {"value": orjson.dumps(older)})])
assert [one.exact for one in told_short.newest.values()] == [0]

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
command = [sys.executable, "-m", "axonstream.local.clickhouse_http", sys.argv[1], "--port", str(port)]
server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
try:
    assert server.stdout.readline().startswith("ready")
    settings = Settings(clickhouse_url=f"http://127.0.0.1:{port}")
    migrate(settings)
    client = connect_blocking(settings)
    client.database = settings.clickhouse_database
    for table, columns, lines in (
        ("events_log", COLUMNS, [row.line for row in batch.rows]),
        ("trace_summaries", SUMMARY_COLUMNS, list(summaries.lines(1))),
    ):
        at = f"{settings.clickhouse_database}.{table} ({columns})"
        client.raw_insert(at, insert_block=b"".join(lines), fmt="JSONEachRow")
    given = {"tenant": "1", "trace": "tr_1", "traces": ["tr_1"], "limit": 10}
    rows = client.query(trace_queries._EVENTS, parameters=given, column_formats=trace_queries.RAW).result_rows
    answers = [orjson.loads(orjson.dumps(event_answer(StoredEvent(*row), "1", ApiVersion.V0, 1))) for row in rows]
    results = [Event.model_validate(answer) for answer in answers]
    assert [(one.sample_note, one.sample_size) for one in results] == [("hello", 0), (None, None)]
    for sql in (trace_queries._SEGMENTS, trace_queries._ADDED_UP, RECOMPUTED):
        figures = trace_queries._figures(client.query(sql, parameters=given).result_rows[0])
        answer = orjson.loads(orjson.dumps(trace_answer(figures, ApiVersion.V1)))
        assert TraceListItem.model_validate(answer).message_count == answer["messageCount"] == 2
    place = {"epoch": 1, "partition": 0, "first": 0, "last": 9}
    hashes = {row[0]: row[-1] for row in client.query(_ROWS, parameters=place).result_rows}
    assert [hashes[row.record.offset] == hash_of_line(row.line) for row in batch.rows] == [True, True]
    client.close()
finally:
    server.terminate()
    server.wait()
schemas = document()["components"]["schemas"]
for form in ("EventInput", "EventAnswer"):
    assert {"sampleNote", "sampleSize"} <= schemas[form]["properties"].keys()
assert "messageCount" in schemas["TraceAnswer"]["properties"]
print("stored, listed and answered")
"""


def view(name: str) -> str:
    """The statement that makes a view, as its newest migration has it."""
    newest = [file for file in sorted((ROOT / "sinks/migrations").glob("*.sql")) if f".{name} $" in file.read_text()][
        -1
    ]
    return newest.read_text().replace("CREATE VIEW IF NOT EXISTS", "CREATE OR REPLACE VIEW")


@pytest.mark.services
def test_an_optional_field_takes_three_files_and_a_counter_four(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=LEFT_OUT)
    for name, edits in EDITS.items():
        text = (copy / name).read_text()
        for old, new in edits:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (copy / name).write_text(text)
    number = len(list((copy / "sinks/migrations").glob("*.sql"))) + 1
    traces = view("traces").replace(
        "    sum(s.handoff_count) AS handoff_count,\n",
        "    sum(s.handoff_count) AS handoff_count,\n    sum(s.message_count) AS message_count,\n",
    )
    added = {
        f"sinks/migrations/{number:04d}_sample.sql": FIELD_MIGRATION + view("events"),
        f"sinks/migrations/{number + 1:04d}_messages.sql": COUNTER_MIGRATION + traces,
    }
    for name, text in added.items():
        (copy / name).write_text(text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AXONSTREAM_")}
    # Each has one more file: docs/sql.md, whose columns another test compares with the database.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "clickhouse")],
        cwd=copy,
        env=environment | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [str(copy / "axonstream" / "__init__.py"), "stored, listed and answered"],
    ), done.stderr
