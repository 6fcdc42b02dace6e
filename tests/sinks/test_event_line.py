"""The splice adds what ClickHouse needs and touches nothing else."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream.contract.event import encode_again
from axonstream.contract.record_validation import ValidationFailure, validate_record
from axonstream.event_contract import MAX_TIME_MS, SECONDS
from axonstream.sinks.events.event_line import event_line, line_end
from kit.sample_events import NOW_MS, event_value
from kit.slow_json import raw_members

PAYLOAD = '{"x": 1.0, "b":1180591620717411303424, "n":null, "occurred_at":5, "received_at":6, "é":"\\u00e9\\n"}'

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
TIMES = st.integers(0, MAX_TIME_MS).filter(lambda ms: ms not in SECONDS)


def stored(line: bytes) -> dict[str, str]:
    assert line.endswith(b"}\n")
    assert orjson.loads(line)
    return raw_members(line.decode())


@given(
    payload=st.dictionaries(st.text() | st.sampled_from(["occurred_at", "received_at"]), JSON_VALUES, max_size=4),
    identifier=TEXT.filter(bool),
    span_id=TEXT,
    occurred=TIMES,
    received=TIMES,
    order=st.permutations(range(12)),
    spaces=st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")]),
    ascii_only=st.booleans(),
    offset=st.integers(0, 2**62),
)
def test_any_encoding_of_an_event_is_stored_as_it_was(
    payload: dict[str, Any],
    identifier: str,
    span_id: str,
    occurred: int,
    received: int,
    order: list[int],
    spaces: tuple[str, str],
    ascii_only: bool,
    offset: int,
) -> None:
    fields: dict[str, Any] = {
        "v": 1,
        "tenant_id": "1",
        "event_id": 7,
        "trace_id": "tr_1",
        "channel_id": 1,
        "event_type": "agent.start",
        "identifier": identifier,
        "occurred_at": occurred,
        "received_at": received,
        "source": "app",
        "span_id": span_id,
        "payload": payload,
    }
    items = list(fields.items())
    text = json.dumps(dict(items[at] for at in order), separators=spaces, ensure_ascii=ascii_only)
    event = validate_record(b"tr_1", text.encode("utf-8", "surrogatepass"))
    if isinstance(event, ValidationFailure):
        return  # lone surrogates and the like: not for the splice
    line = event_line(event, encode_again(event), line_end(3, 4), offset, received)

    members = stored(line)
    assert members.pop("_topic_epoch") == "3"
    assert members.pop("_partition") == "4"
    assert members.pop("_offset") == str(offset)
    assert members.pop("occurred_at") == f'"{occurred // 1000:010d}.{occurred % 1000:03d}"'
    assert members.pop("received_at") == f'"{received // 1000:010d}.{received % 1000:03d}"'
    sent = raw_members(text)
    del sent["occurred_at"], sent["received_at"]
    if not span_id:
        del sent["span_id"]  # which is the default of the column
    assert {name: raw if name == "payload" else orjson.loads(raw) for name, raw in members.items()} == {
        name: raw if name == "payload" else orjson.loads(raw) for name, raw in sent.items()
    }


def test_the_bytes_of_a_payload_are_kept() -> None:
    value = event_value("tr_1", 1, PAYLOAD.encode())
    event = validate_record(b"tr_1", value)
    assert not isinstance(event, ValidationFailure)
    assert stored(event_line(event, value, line_end(1, 0), 9, event.received_at))["payload"] == PAYLOAD


@pytest.mark.parametrize(
    ("occurred", "received"), [(10**12 - 1, MAX_TIME_MS), (MAX_TIME_MS, 10**12 - 1), (5, NOW_MS), (NOW_MS, 5)]
)
def test_times_of_other_lengths_are_split_at_the_milliseconds(occurred: int, received: int) -> None:
    text = event_value("tr_1", 1, b"{}").decode()
    old = f'"occurred_at":{NOW_MS},"received_at":{NOW_MS}'
    assert old in text
    value = text.replace(old, f'"occurred_at":{occurred},"received_at":{received}').encode()
    event = validate_record(b"tr_1", value)
    assert not isinstance(event, ValidationFailure)
    members = stored(event_line(event, value, line_end(1, 0), 9, event.received_at))
    assert members["occurred_at"] == f'"{occurred // 1000:010d}.{occurred % 1000:03d}"'
    assert members["received_at"] == f'"{received // 1000:010d}.{received % 1000:03d}"'


@pytest.mark.parametrize("sent", [NOW_MS, 5, MAX_TIME_MS])
def test_the_time_of_arrival_is_that_of_the_record(sent: int) -> None:
    """Not what a publisher's clock said."""
    text = event_value("tr_1", 1, b"{}").decode()
    value = text.replace(f'"received_at":{NOW_MS}', f'"received_at":{sent}').encode()
    event = validate_record(b"tr_1", value)
    assert not isinstance(event, ValidationFailure)
    assert stored(event_line(event, value, line_end(1, 0), 9, 1234))["received_at"] == '"0000000001.234"'


@pytest.mark.parametrize(
    "text",
    [
        '{"occurred\\u005fat":NOW,"received_at":NOW',
        '{"received_at":NOW,"occurred_at":NOW',
        ' {"identifier":"a{b","occurred_at":NOW,"received_at":NOW',
    ],
)
def test_the_times_of_another_encoder_are_found_wherever_they_stand(text: str) -> None:
    rest = {"v": 1, "tenant_id": "1", "event_id": 1, "trace_id": "t", "channel_id": 1, "event_type": "custom"}
    rest |= {"source": "app", "payload": {}} | ({} if "identifier" in text else {"identifier": "a"})
    value = (text.replace("NOW", str(NOW_MS)) + "," + json.dumps(rest)[1:] + " ").encode()
    event = validate_record(b"t", value)
    assert not isinstance(event, ValidationFailure)
    members = stored(event_line(event, encode_again(event), line_end(1, 0), 0, event.received_at))
    assert members["occurred_at"] == members["received_at"] == f'"{NOW_MS // 1000}.{NOW_MS % 1000:03d}"'
    assert len(members) == 14
