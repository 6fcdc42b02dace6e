"""What the sender wrote is what is kept: byte for byte, however the JSON is spelt."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.publishing.sender_bytes import BodyError, read_event, split_events
from producers.event_record import encode_json

_NUMBERS = st.one_of(
    st.integers(min_value=-(2**70), max_value=2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["1.0", "1.00", "-0", "-0.0", "1e5", "1E+05", "0.10", "18446744073709551616", "1e-400"]),
)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_STRINGS = st.one_of(
    _TEXT.map(json.dumps),
    _TEXT.map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(['"\\ud83d\\ude00"', '"\\/"', '"\\u0000"', '"}"', '"\\""', '"\\\\"', '",\\"payload\\":{}"']),
)
_SPACE = st.sampled_from(["", "", " ", "\n", "\t", "\r\n  "])


@st.composite
def _objects(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    names = draw(st.lists(_TEXT, max_size=4, unique=True))
    space = draw(_SPACE)
    members = [f"{space}{json.dumps(name)}{space}:{space}{draw(values)}{space}" for name in names]
    return "{" + ",".join(members) + (space if not members else "") + "}"


@st.composite
def _arrays(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    space = draw(_SPACE)
    return "[" + ",".join(f"{space}{item}{space}" for item in draw(st.lists(values, max_size=4))) + "]"


_LITERALS = st.sampled_from(["null", "true", "false"])
VALUES = st.recursive(
    st.one_of(_NUMBERS, _STRINGS, _LITERALS), lambda inner: st.one_of(_objects(inner), _arrays(inner)), max_leaves=8
)
OBJECTS = _objects(VALUES)


def _kept(body: bytes) -> dict[str, bytes]:
    sent = read_event(body)
    return {name: sent.kept.get(name) or encode_json(sent.fields[name]) for name in ("payload", "metadata")}


@given(OBJECTS, OBJECTS, VALUES, _SPACE, st.permutations(["payload", "metadata", "other"]))
def test_payload_and_metadata_are_kept_byte_for_byte(
    payload: str, metadata: str, other: str, space: str, order: list[str]
) -> None:
    texts = {"payload": payload, "metadata": metadata, "other": other}
    members = [f"{space}{json.dumps(name)}{space}:{space}{texts[name]}{space}" for name in order]
    body = f"{space}{{{','.join(members)}}}{space}".encode()
    assert _kept(body) == {"payload": payload.encode(), "metadata": metadata.encode()}


@given(st.lists(OBJECTS, max_size=5), _SPACE)
def test_an_array_is_split_into_its_elements(objects: list[str], space: str) -> None:
    body = f"{space}[{space}" + f"{space},{space}".join(objects) + f"{space}]{space}"
    assert split_events(body.encode(), 1000) == [text.encode() for text in objects]


@given(st.lists(st.dictionaries(_TEXT, st.integers()), max_size=5))
def test_ndjson_is_split_into_its_lines_without_blank_ones(objects: list[dict[str, int]]) -> None:
    lines = [json.dumps(one).encode() for one in objects]
    assert split_events(b"\n\n".join(lines) + b"\n \r\n", 1000) == lines


def test_an_escaped_key_is_still_the_payload() -> None:
    assert _kept(b'{ "p\\u0061yload": {"x":1.00}, "metadata": {}}')["payload"] == b'{"x":1.00}'


def test_a_member_of_the_payload_is_never_taken_for_the_payload() -> None:
    body = b'{ "metadata": {"payload": {"no": 1}}, "payload": {"metadata": {"no": 2}} }'
    assert _kept(body) == {"metadata": b'{"payload": {"no": 1}}', "payload": b'{"metadata": {"no": 2}}'}


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_either_read_or_refused_with_words(body: bytes) -> None:
    try:
        assert isinstance(orjson.loads(body), dict)
        read_event(body)
    except (BodyError, ValueError, AssertionError):
        with pytest.raises(BodyError):
            read_event(body)


@pytest.mark.parametrize("depth", [100, 101])
def test_depth_100_is_the_most(depth: int) -> None:
    value: Any = 1
    for _ in range(depth - 1):
        value = {"a": value}
    body = orjson.dumps({"payload": value})
    if depth == 100:
        assert read_event(body).fields == {"payload": value}
    else:
        with pytest.raises(BodyError):
            read_event(body)
