"""Validation takes what the encoder makes, refuses every corruption of one field, and its fast path is the slow way."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from axonstream.contract import record_validation as verdict_module
from axonstream.contract.event import Event, encode_again
from axonstream.contract.event_record import encode_event
from axonstream.contract.record_validation import (
    MAX_RECORD_BYTES,
    RUN,
    SHORT_RUN,
    ValidationFailure,
    validate_record,
    validate_records,
)
from axonstream.event_contract import MAX_DEPTH, MAX_ID, MAX_NAME_BYTES, MAX_TIME_MS, SECONDS, EventInput
from axonstream.event_fields import RARE, Amount, Choice, EventField, Text, Whole
from axonstream.kafka.topics import event_key
from kit.slow_json import wrong_shape_by_walking

NAMES = ("tenant_id", "trace_id", "identifier", "event_type", "source")
RARE_NAMES = tuple(field.name for field in RARE if isinstance(field.kind, Text))
OPTIONAL_NAMES = ("span_id", "parent_event_id", "parent_span_id", "agent_id", "dedup_key", "environment", *RARE_NAMES)
COUNTS = {field.name: field.kind.most for field in RARE if isinstance(field.kind, Whole)}
NUMBERS = {"event_id": MAX_ID, "channel_id": MAX_ID, "occurred_at": MAX_TIME_MS, "received_at": MAX_TIME_MS}

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=64)
NAME = TEXT.filter(bool)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=5)


def sent(field: EventField) -> st.SearchStrategy[Any]:
    """What a sender may give."""
    match field.kind:
        case Whole(most=most):
            return st.none() | st.integers(0, most)
        case Choice(words=words):
            return st.none() | st.sampled_from(words)
        case Amount(most=most):
            return st.none() | st.integers(0, most) | st.floats(0, most) | st.decimals(0, most, allow_nan=False)
        case _:
            return st.none() | TEXT


EVENTS = st.builds(
    EventInput,
    identifier=NAME,
    payload=OBJECT,
    channel_id=st.integers(0, MAX_ID),
    metadata=st.none() | OBJECT,
    event_type=st.from_regex(r"[a-z0-9_.]{1,64}", fullmatch=True),
    occurred_at=st.integers(0, MAX_TIME_MS).filter(lambda ms: ms not in SECONDS),
    **dict.fromkeys(OPTIONAL_NAMES, st.none() | TEXT) | {field.name: sent(field) for field in RARE},
)


@given(event=EVENTS, tenant=NAME, trace=NAME, fresh=st.integers(0, MAX_ID), now=st.integers(0, MAX_TIME_MS))
def test_whatever_the_encoder_makes_is_an_event(
    event: EventInput, tenant: str, trace: str, fresh: int, now: int
) -> None:
    record = encode_event(event, tenant_id=tenant, trace_id=trace, fresh_id=fresh, now_ms=now)
    found = validate_record(event_key(trace), record.value)
    assert not isinstance(found, ValidationFailure)
    assert (found.tenant_id, found.trace_id, found.event_id) == (tenant, trace, record.event_id)
    assert found.occurred_at == record.occurred_at
    for field in RARE:
        sent = getattr(event, field.name)
        assert getattr(found, field.name) == (field.missing if sent is None else sent), field.name
    assert encode_again(found) == record.value


def valid(**changed: Any) -> dict[str, Any]:
    """A valid event with every optional field, but for what is changed."""
    event: dict[str, Any] = dict.fromkeys((*NAMES, *OPTIONAL_NAMES), "x")
    event |= {"v": 1, "payload": {"a": [1, {"b": None}]}, "metadata": {}, **dict.fromkeys(NUMBERS, 1)}
    event |= {**dict.fromkeys(COUNTS, 1), "cost_usd": "0.5", "status": "ok"}
    return event | changed


def judged(event: dict[str, Any]) -> Event | ValidationFailure:
    key = event.get("trace_id")
    return validate_record(key.encode() if isinstance(key, str) else b"x", json.dumps(event).encode())


def corruptions() -> dict[str, list[Any]]:
    """Field -> values that it must not have."""
    not_text: list[Any] = [None, 1, 1.5, True, ["x"], {"x": 1}, "with\x00nul", "x" * (MAX_NAME_BYTES + 1), "é" * 129]
    wrong: dict[str, list[Any]] = {name: [*not_text, ""] for name in NAMES}
    wrong |= dict.fromkeys(OPTIONAL_NAMES, not_text)
    wrong |= {name: [None, "1", 1.0, 1.5, True, -1, most + 1, 2**64, 2**70, [1]] for name, most in NUMBERS.items()}
    wrong |= {name: ["1", 1.0, 1.5, True, -1, most + 1, 2**64, 2**70, [1]] for name, most in COUNTS.items()}
    wrong["status"] = [None, "OK", "failed", 1, True, ["ok"], "ok\n"]
    wrong["cost_usd"] = [None, 0, 1, 0.5, True, ["1"], "", "-1", "+1", "01", "1.", "1.0", ".5", "1e3", "1E-7", " 1"]
    wrong["cost_usd"] += ["1\n", "NaN", "Infinity", "1000000", "999999.5", "0.0000000000001", "1_0", "\u0661", "0x1"]
    wrong |= {name: [None, "x", 1, True, [], [{}]] for name in ("payload", "metadata")}
    wrong["v"] = [None, 0, 2, 1.0, "1", True, [1]]
    wrong["event_type"] += ["Agent.start", "agent start", "x" * 65, "agent.start\n", "ä"]
    return wrong


CORRUPTIONS = [(field, value) for field, values in corruptions().items() for value in values]


@pytest.mark.parametrize(("field", "value"), CORRUPTIONS, ids=lambda part: str(part)[:20].replace("\x00", "NUL"))
def test_one_field_with_a_wrong_value_is_refused_by_name(field: str, value: Any) -> None:
    refusal = judged(valid(**{field: value}))
    assert isinstance(refusal, ValidationFailure)
    assert field in refusal.reason or (field == "v" and "version" in refusal.reason) or "JSON" in refusal.reason


@pytest.mark.parametrize("field", ["v", "payload", *NAMES, *NUMBERS])
def test_a_required_field_that_is_missing_is_refused(field: str) -> None:
    event = valid()
    del event[field]
    assert isinstance(judged(event), ValidationFailure)


@pytest.mark.parametrize("field", ["metadata", *OPTIONAL_NAMES, *(field.name for field in RARE)])
def test_an_optional_field_may_be_missing(field: str) -> None:
    event = valid()
    del event[field]
    found = judged(event)
    assert isinstance(found, Event)
    for name, value in event.items():
        read = getattr(found, name)
        read = orjson.loads(bytes(read)) if isinstance(read, Raw) else str(read) if isinstance(read, Decimal) else read
        assert read == value, name
    assert not getattr(found, field)


def test_the_limits_themselves_are_inside() -> None:
    most = NUMBERS | COUNTS | {"cost_usd": "999999"} | dict.fromkeys(OPTIONAL_NAMES, "é" * (MAX_NAME_BYTES // 2))
    assert not isinstance(judged(valid(**most)), ValidationFailure)
    assert not isinstance(judged(valid(**dict.fromkeys(NUMBERS, 0))), ValidationFailure)
    assert not isinstance(judged(valid(**dict.fromkeys(COUNTS, 0), cost_usd="999998.999999999999")), ValidationFailure)
    assert not isinstance(judged(valid(**dict.fromkeys(OPTIONAL_NAMES, ""))), ValidationFailure)


GOOD = orjson.dumps(valid())


class KeyedValue(NamedTuple):
    key: bytes | None
    value: bytes | None


@pytest.mark.parametrize(
    ("number", "unit"),
    [
        (1_795_758_320, "seconds"),
        (SECONDS.start, "seconds"),
        (SECONDS.stop - 1, "seconds"),
        (1_795_758_320_123_456, "microseconds"),
        (1_795_758_320_123_456_789, "nanoseconds"),
    ],
)
def test_a_time_of_another_unit_is_refused_by_its_unit_alone_and_among_others(number: int, unit: str) -> None:
    """Fold and sink skip it alike, in the fast way and in the slow one."""
    words = f"looks like {unit}"
    values = [orjson.dumps(valid(occurred_at=at)) for at in (SECONDS.stop, number, 0)]
    alone = validate_record(b"x", values[1])
    assert isinstance(alone, ValidationFailure)
    assert words in alone.reason
    among = validate_records([KeyedValue(b"x", value) for value in values]).judged
    assert [isinstance(one, ValidationFailure) for one in among] == [False, True, False]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no value"),
        (b"", "JSON"),
        (b"null", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (GOOD + GOOD, "not one JSON value"),
        (GOOD + b"\n" + GOOD, "not one JSON value"),
        (GOOD[:-1], "not one JSON value"),
        (GOOD.replace(b'"x"', b'"\xff"', 1), "UTF-8"),
        (GOOD.replace(b'"x"', b'"\\ud800"', 1), "not one JSON value"),
        (b"\xef\xbb\xbf" + GOOD, "not one JSON value"),
        (GOOD[:-1] + b',"_offset":0}', "unknown field `_offset`"),
        (GOOD[:-1] + b',"tenant_id":"x"}', "repeated"),
        (GOOD[:-1] + b',"payload":{}}', "repeated"),
        (GOOD.replace(b'{"b":null}', b'{"b":null,"b":null}'), "repeated"),
        (GOOD.replace(b'{"b":null}', b'{"b":null,"\\u0062":null}'), "repeated"),
        (GOOD.replace(b"{}", b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}"), "deeper"),
        (GOOD.replace(b"{}", b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}"), ""),
        (GOOD.replace(b"{}", b'{"a":NaN}'), "not one JSON value"),
        (GOOD.replace(b"{}", b'{"a":"' + b"x" * MAX_RECORD_BYTES + b'"}'), "larger"),
    ],
    ids=lambda part: "" if isinstance(part, bytes) else str(part),
)
def test_a_record_that_is_not_one_plain_event_is_refused(value: bytes | None, reason: str) -> None:
    refusal = validate_record(b"x", value)
    assert isinstance(refusal, ValidationFailure)
    assert reason in refusal.reason


@pytest.mark.parametrize("key", [None, b"", b"y", b"x ", b"X"])
def test_a_key_that_is_not_the_trace_is_refused(key: bytes | None) -> None:
    assert validate_record(key, GOOD) == ValidationFailure("the record's key is not its trace_id")


def test_a_hundred_levels_are_allowed() -> None:
    deepest = GOOD.replace(b"{}", b'{"a":' + b"[" * (MAX_DEPTH - 2) + b"]" * (MAX_DEPTH - 2) + b"}")
    assert not isinstance(validate_record(b"x", deepest), ValidationFailure)


@given(text=st.binary(max_size=200))
@example(text=b"\x00")
def test_any_bytes_get_an_answer(text: bytes) -> None:
    assert isinstance(validate_record(b"x", text), ValidationFailure)


@given(payload=OBJECT, spaces=st.booleans(), escapes=st.booleans(), twice=st.booleans(), data=st.data())
def test_the_fast_way_and_the_walk_agree_on_the_shape(
    payload: dict[str, Any], spaces: bool, escapes: bool, twice: bool, data: st.DataObject
) -> None:
    """Canonical or not, with a repeated key somewhere or without one."""
    separators = (", ", ": ") if spaces else (",", ":")
    text = json.dumps(valid(payload=payload), separators=separators, ensure_ascii=escapes)
    if twice:
        at = data.draw(st.sampled_from([place for place, letter in enumerate(text) if letter == "{"]))
        text = text[: at + 1] + '"z":0,"z":0' + ("," if text[at + 1] != "}" else "") + text[at + 1 :]
    value = text.encode()
    answer = validate_record(b"x", value)
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:  # the brace was one inside of a text
        assert isinstance(answer, ValidationFailure)
    else:
        assert isinstance(answer, ValidationFailure) is (wrong_shape_by_walking(value) is not None)


NEAR_LIMITS = st.sampled_from([MAX_NAME_BYTES // 4, MAX_NAME_BYTES - 14, MAX_NAME_BYTES - 13, MAX_NAME_BYTES])
ODD_VALUES = st.one_of(
    st.sampled_from(CORRUPTIONS),
    st.tuples(st.sampled_from([*NAMES, *OPTIONAL_NAMES]), st.builds("".ljust, NEAR_LIMITS, st.sampled_from("xé"))),
    st.tuples(st.sampled_from(["payload", "metadata"]), OBJECT),
    st.tuples(st.sampled_from([*NAMES, *OPTIONAL_NAMES]), TEXT),
    st.tuples(st.sampled_from(["event_type"]), st.sampled_from(["custom", "agent.error", "my.own_1"])),
)


@given(
    odd=st.lists(ODD_VALUES, max_size=2),
    without=st.sets(st.sampled_from([*valid()]), max_size=3),
    order=st.randoms(use_true_random=False),
    depth=st.integers(0, MAX_DEPTH + 2),
    spaces=st.booleans(),
)
def test_the_quick_yes_is_a_yes_of_every_check(
    odd: list[tuple[str, Any]], without: set[str], order: random.Random, depth: int, spaces: bool
) -> None:
    event = valid(**dict(odd))
    if order.random() < 0.5:
        event["payload"] = orjson.loads(b'{"a":' * depth + b"1" + b"}" * depth)
    fields = [(name, value) for name, value in event.items() if name not in without or order.random() < 0.5]
    if order.random() < 0.5:
        order.shuffle(fields)
    value = json.dumps(dict(fields), separators=(", " if spaces else ",", ":"), ensure_ascii=False).encode()
    key = str(event["trace_id"]).encode()
    answer = validate_record(key, value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdict_module, "_fast_path", lambda _: None)
        assert answer == validate_record(key, value)


def test_what_the_gateway_encodes_takes_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    event = EventInput(identifier="i", payload={"a": [1.5, {"b": "ä"}]}, channel_id=1, dedup_key="k", metadata={})
    record = encode_event(event, tenant_id="1", trace_id="t", fresh_id=1, now_ms=1)
    monkeypatch.setattr(verdict_module, "_any_event", None)
    assert isinstance(validate_record(b"t", record.value), Event)


_SENT = EventInput(identifier="i", payload={"a": [1, {"b": None}]}, metadata={"c": "ä"}, channel_id=1, dedup_key="k")
PLAIN = encode_event(_SENT, tenant_id="1", trace_id="x", fresh_id=1, now_ms=1).value
WITH_LINE_END = PLAIN.replace(b'"payload":{"a":', b'"payload":{"a":\n')
PLACES = st.integers(0, len(PLAIN)) | st.sampled_from([at for at, letter in enumerate(PLAIN) if letter in b",:{}"])
VALUES = st.one_of(
    st.sampled_from([None, b"", b"{}", b"\n", GOOD, PLAIN + b"\n" + PLAIN, PLAIN + b"\n", b" " + PLAIN, b"[1,2]"]),
    st.builds(lambda at: PLAIN[:at], PLACES),
    st.builds(lambda at: PLAIN[at:], PLACES),
    st.builds(lambda at: PLAIN[:at] + b"\n" + PLAIN[at:], PLACES),
    st.builds(lambda text: orjson.dumps(valid(payload={"a": text}, metadata={})), TEXT),
    st.just(WITH_LINE_END),
)
ODD_RECORDS = st.lists(st.builds(KeyedValue, st.sampled_from([b"x", b"x", b"y", None]), VALUES), max_size=4)


@given(odd=ODD_RECORDS, at=st.integers(0, RUN), count=st.sampled_from([0, 1, SHORT_RUN - 2, RUN, RUN + SHORT_RUN]))
@example(odd=[KeyedValue(b"x", PLAIN[:40]), KeyedValue(b"x", PLAIN[40:])], at=0, count=1)
@example(odd=[KeyedValue(b"x", PLAIN + b"\n" + PLAIN), KeyedValue(b"x", b"")], at=1, count=2)
@example(odd=[*map(partial(KeyedValue, b"x"), [*WITH_LINE_END.split(b"\n"), PLAIN + b"\n" + PLAIN])], at=0, count=1)
def test_a_run_is_judged_as_its_records_one_by_one(odd: list[KeyedValue], at: int, count: int) -> None:
    """Halves of an event that stand one after the other, and values with a line end, make nothing else of any."""
    records = [KeyedValue(b"x", PLAIN)] * count
    records[at:at] = odd
    judged, spelt = validate_records(records)
    assert judged == [validate_record(record.key, record.value) for record in records]
    assert spelt == [encode_again(event) if isinstance(event, Event) else b"" for event in judged]


@pytest.mark.parametrize(
    ("repeated", "identifier"),
    [('"v":1', "i"), ('"channel_id":1', "i"), ('"span_id":"a","span_id":"b"', "i"), ('"v":1', "\\u0022\\u0022")],
)
@pytest.mark.parametrize("spaces", ["", " "])
def test_a_field_that_another_encoder_repeats_is_refused(repeated: str, identifier: str, spaces: str) -> None:
    """Alone, and in a run. Quotes that are spelt as escapes do not make up for those of the field."""
    fields = {name: json.dumps(value) for name, value in valid().items()} | {"identifier": f'"{identifier}"'}
    good = "{" + ",".join(f'{spaces}"{name}":{value}' for name, value in fields.items()) + "}"
    value = f"{good[:-1]},{repeated}}}".encode()
    run = [KeyedValue(b"x", good.encode()), KeyedValue(b"x", value)]
    first, second = validate_records(run).judged
    assert isinstance(first, Event)
    assert second == validate_record(b"x", value) == ValidationFailure("a key is repeated")


FRAGMENTS = st.sampled_from(
    [
        *(b'" \\ { } [ ] , : - 0 1 .0 e0 \x00 \x01 \xff \xed\xa0\x80 \\u0022 \\u0000 \\ud800 {}'.split(b" ")),
        *(b'"v":1, "span_id":"", "payload":{}, "metadata":{}, "z":1'.split(b" ")),
        *(b" ", b"\n", b"\r", PLAIN, GOOD),
    ]
)
EDITS = st.lists(st.tuples(st.integers(0, 1 << 10), st.integers(0, 3), FRAGMENTS | st.just(b"")), max_size=4)


@given(
    spaces=st.booleans(),
    ascii_only=st.booleans(),
    order=st.randoms(use_true_random=False),
    edits=EDITS,
    cut=st.none() | st.integers(0, 1 << 10),
)
def test_no_bytes_are_waved_through(
    spaces: bool, ascii_only: bool, order: random.Random, edits: list[tuple[int, int, bytes]], cut: int | None
) -> None:
    """Records of any encoder with bytes put in, taken out or replaced; whole, or cut in two that come one by one."""
    fields = [*valid(identifier='ü"\\\x01', payload={"a": [{"b": 'é"'}, 1.5]}, metadata={"c": {}}).items()]
    order.shuffle(fields)
    separators = (", ", ": ") if spaces else (",", ":")
    text = json.dumps(dict(fields), separators=separators, ensure_ascii=ascii_only).encode()
    for place, removed, put_in in edits:
        at = place % (len(text) + 1)
        text = text[:at] + put_in + text[at + removed :]
    values = [text] if cut is None else [text[: cut % (len(text) + 1)], text[cut % (len(text) + 1) :]]
    records = [KeyedValue(b"x", value) for value in [PLAIN, *values, GOOD]]
    judged, spelt = validate_records(records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdict_module, "_fast_path", lambda _: None)
        assert judged == [validate_record(record.key, record.value) for record in records]
    assert spelt == [encode_again(event) if isinstance(event, Event) else b"" for event in judged]
