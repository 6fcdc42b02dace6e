"""Any bytes at POST /event and POST /events: refused with 400 or 413, or taken, and then the validation takes them too.

What was taken is stored as one row of ClickHouse whose columns are what was sent; the validation, the splice and
ClickHouse never disagree.
"""

from __future__ import annotations

import asyncio
import json
from itertools import count
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from axonstream.clickhouse.client import connect
from axonstream.contract.event import Event, encode_again
from axonstream.contract.record_validation import ValidationFailure, validate_record
from axonstream.event_contract import MAX_ID, MAX_TIME_MS, SECONDS, EventInput
from axonstream.gateway.publishing.whole_characters import with_whole_characters
from axonstream.kafka.topics import event_key
from axonstream.settings.settings import Settings
from axonstream.sinks.events.event_line import event_line, line_end
from axonstream.sinks.events.event_store import COLUMNS, TABLE
from axonstream.sinks.writing.table_writer import TableWriter
from kit.offline_gateway import OfflineGateway

NAMES = (
    *("identifier", "payload", "channel_id", "agentId", "traceId", "spanId", "parentEventId", "parentSpanId"),
    *("eventType", "metadata", "dedupKey", "environment", "occurredAt", "_offset", "trace_id", "\ud800", ""),
)
NUMBERS = st.sampled_from([0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 2**70, -(2**63), 1.0, 1e300, -0.0])
ODD_TEXT = ("\x00", "x" * 257, "é" * 128, "\ud800", "2026-01-31T12:00:00Z", "1_0", "7")
TEXT = st.text(max_size=8) | st.sampled_from(ODD_TEXT)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXT, ANYTHING, max_size=3)
GOOD = {"identifier": "step", "payload": {}, "channel_id": 1}
# Close to an event, so that most of the examples get past the first check.
NEARLY = st.builds(
    lambda base, odd, payload: base | {"payload": payload} | odd,
    st.just(GOOD),
    st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=2),
    OBJECTS,
)
ENCODINGS = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:\r ")])


@st.composite
def json_bytes(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> bytes:
    """JSON as some encoder of this world writes it, NaN and lone surrogates included."""
    text = json.dumps(draw(values), separators=draw(ENCODINGS), ensure_ascii=draw(st.booleans()))
    return text.encode("utf-8", "surrogatepass")


ODD_BYTES = (b"{}", b"[" * 200, b'"payload":1,', b"\xef\xbb\xbf", b"\\u0000")
FORMS = ((b"", b"\n", b""), (b"[", b",", b"]"), (b" [\n", b" , ", b"]\r\n"), (b"[", b",", b""), (b"", b"", b"]"))


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """An event, cut, doubled, with bytes changed, or no JSON at all."""
    body = bytearray(draw(json_bytes(NEARLY)))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(body)))
        insert = draw(st.binary(max_size=3) | st.sampled_from(ODD_BYTES))
        body[at : at + draw(st.integers(0, 3))] = insert
    return bytes(body)


GATEWAY = OfflineGateway()


def sent_to(path: str, body: bytes) -> int:
    """The status, which must be one of those that a sender is told, and true of what is on the log."""
    records = GATEWAY.log.records
    records.clear()
    answer = GATEWAY.send("POST", path, content=body)
    told = orjson.loads(answer.content)
    assert answer.status_code in (200, 201, 400, 413), told
    for record in records:
        judged = validate_record(event_key(record.trace_id), record.value)
        assert not isinstance(judged, ValidationFailure), judged
        assert judged.tenant_id == "1"
    if answer.status_code in (400, 413):
        assert told["message"]
        assert not records
    elif path == "/events":
        assert told["accepted"] == len(records) == len(told["ids"]) > 0
    else:
        assert len(records) == 1
    return answer.status_code


@given(bodies() | json_bytes(ANYTHING) | st.binary(max_size=40))
@example(b'{"identifier":"a","channel_id":1,"payload":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001)
@example(b'{"identifier":"a","channel_id":1,"payload":' + b'{"a":' * 150 + b"1" + b"}" * 151)
@example(b'{"identifier":"a","channel_id":1,"payload":{"a":1,"a":2}}')
@example(b'{"identifier":"a","channel_id":' + b"9" * 5000 + b',"payload":{}}')
@example(b'{"identifier":"a","channel_id":1,"payload":{"n":' + b"9" * 5000 + b"}}")
def test_any_body_of_an_event_is_taken_or_refused(body: bytes) -> None:
    sent_to("/event", body)


@pytest.mark.slow
@given(
    st.lists(bodies() | json_bytes(ANYTHING), max_size=4),
    st.sampled_from(FORMS),
)
@example([b"[" * 100_000], (b"", b"\n", b""))
@example([b"[" * 2000 + b"]" * 2000], (b"[", b",", b"]"))
def test_any_body_of_many_events_is_taken_or_refused(parts: list[bytes], form: tuple[bytes, bytes, bytes]) -> None:
    opening, between, end = form
    sent_to("/events", opening + between.join(parts) + end)


@given(NEARLY)
def test_the_model_and_the_gateway_refuse_the_same(fields: dict[str, Any]) -> None:
    body = json.dumps(fields).encode()
    try:
        parsed = orjson.loads(with_whole_characters(body))
        EventInput.model_validate(parsed)
    except ValueError:
        assert sent_to("/event", body) == 400 or fields.get("eventType", "") is None
    else:
        assert sent_to("/event", body) in (201, 400)  # 400: nested too deep, or a NaN, of which the model says nothing


RAW_NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)


@pytest.mark.services
def test_what_the_verdict_takes_is_one_row_that_holds_what_was_sent(server_settings: Settings, soak: bool) -> None:
    """Differential: validation, splice and ClickHouse, on records of any encoder."""
    offsets = count()

    @st.composite
    def records(draw: st.DrawFn) -> bytes:
        fields: dict[str, Any] = {
            "v": 1,
            "tenant_id": draw(RAW_NAMES.filter(bool)),
            "event_id": draw(st.integers(0, MAX_ID)),
            "trace_id": draw(RAW_NAMES.filter(bool)),
            "channel_id": draw(st.integers(0, MAX_ID)),
            "event_type": draw(st.from_regex(r"[a-z0-9_.]{1,64}", fullmatch=True)),
            "identifier": draw(RAW_NAMES.filter(bool)),
            "occurred_at": draw(st.integers(0, MAX_TIME_MS).filter(lambda ms: ms not in SECONDS)),
            "received_at": draw(st.integers(0, MAX_TIME_MS)),
            "source": draw(RAW_NAMES.filter(bool)),
            "payload": draw(OBJECTS),
        }
        for name in ("span_id", "parent_event_id", "parent_span_id", "agent_id", "dedup_key", "environment"):
            if draw(st.booleans()):
                fields[name] = draw(RAW_NAMES)
        if draw(st.booleans()):
            fields["metadata"] = draw(OBJECTS)
        names = draw(st.permutations(sorted(fields)))
        ordered = {name: fields[name] for name in names}
        text = json.dumps(ordered, separators=draw(ENCODINGS), ensure_ascii=draw(st.booleans()))
        return text.encode("utf-8", "surrogatepass")

    async def stored(values: list[tuple[int, bytes, Event]]) -> list[dict[str, Any]]:
        client = await connect(server_settings)
        try:
            writer = TableWriter(client, server_settings)
            lines = [
                event_line(event, encode_again(event), line_end(1, 0), offset, event.received_at)
                for offset, _, event in values
            ]
            await writer.insert(TABLE, COLUMNS, lines, [0])
            found = await client.query(
                "SELECT * REPLACE (toUnixTimestamp64Milli(occurred_at) AS occurred_at, "
                "toUnixTimestamp64Milli(received_at) AS received_at) FROM events_log "
                "WHERE _offset BETWEEN {first:Int64} AND {last:Int64} ORDER BY _offset",
                parameters={"first": values[0][0], "last": values[-1][0]},
                column_formats={"payload": "bytes", "metadata": "bytes"},
            )
            return [dict(zip(found.column_names, row, strict=True)) for row in found.result_rows]
        finally:
            await client.close()

    @example_settings(
        max_examples=400 if soak else 25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(st.lists(records(), min_size=1, max_size=20))
    def agrees(values: list[bytes]) -> None:
        taken: list[tuple[int, bytes, Event]] = []
        for value in values:
            try:
                key = orjson.loads(value)["trace_id"].encode()
            except orjson.JSONDecodeError:
                continue  # NaN or a lone surrogate: the validation refuses it
            event = validate_record(key, value)
            if not isinstance(event, ValidationFailure):
                taken.append((next(offsets), value, event))
        if not taken:
            return
        rows = asyncio.run(stored(taken))
        assert [row["_offset"] for row in rows] == [offset for offset, _, _ in taken]
        for row, (_, value, event) in zip(rows, taken, strict=True):
            fields = orjson.loads(value)
            for name in fields.keys() - {"v", "payload", "metadata"}:
                assert row[name] == fields[name] == getattr(event, name), name
            for name in ("payload", "metadata"):
                raw: bytes = row[name]
                assert (raw == b"") == (name not in fields)
                assert not raw or (raw in value and orjson.loads(raw) == fields[name])

    agrees()
