"""What the sender wrote is what is kept: byte for byte, however the JSON is spelt."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from axonstream.event_contract import MAX_VALUES
from axonstream.gateway.publishing.sender_bytes import BOM, BodyError, read_event
from kit.json_texts import OBJECTS, SPACE, VALUES


def _kept(body: bytes) -> dict[str, bytes]:
    sent = read_event(body)
    return {"payload": sent.payload, "metadata": sent.metadata}


@given(OBJECTS, OBJECTS, VALUES, SPACE, st.permutations(["payload", "metadata", "other"]))
def test_payload_and_metadata_are_kept_byte_for_byte(
    payload: str, metadata: str, other: str, space: str, order: list[str]
) -> None:
    texts = {"payload": payload, "metadata": metadata, "other": other}
    members = [f"{space}{json.dumps(name)}{space}:{space}{texts[name]}{space}" for name in order]
    body = f"{space}{{{','.join(members)}}}{space}".encode()
    assert _kept(body) == {"payload": payload.encode(), "metadata": metadata.encode()}


def test_an_escaped_key_is_still_the_payload() -> None:
    assert _kept(b'{ "p\\u0061yload": {"x":1.00}, "metadata": {}}')["payload"] == b'{"x":1.00}'


def test_a_member_of_the_payload_is_never_taken_for_the_payload() -> None:
    body = b'{ "metadata": {"payload": {"no": 1}}, "payload": {"metadata": {"no": 2}} }'
    assert _kept(body) == {"metadata": b'{"payload": {"no": 1}}', "payload": b'{"metadata": {"no": 2}}'}


_OTHERS = ["\\\\", "\\u00e9", "\\n", '\\"', "ud83d", "a", "é"]
_ESCAPED = st.sampled_from(["\\ud83d", "\\uDE00", *_OTHERS])
_RAW = st.sampled_from(["\ud83d", "\ude00", *_OTHERS])


@given(st.lists(_ESCAPED, max_size=8) | st.lists(_RAW, max_size=8))
@example(["\\ud83d"])
@example(["\ude00"])
def test_half_of_a_surrogate_pair_becomes_one_replacement_character(parts: list[str]) -> None:
    """Text cut inside an emoji: it was refused, and a whole array with it."""
    text = f'"{"".join(parts)}"'
    whole = json.loads(text).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    body = f'{{"identifier":{text},"payload":{{"cut":{text}}}}}'.encode("utf-8", "surrogatepass")
    sent = read_event(body)
    assert sent.fields["identifier"] == whole
    assert orjson.loads(sent.payload) == {"cut": whole}


def test_what_is_cut_in_a_thousand_places_is_refused() -> None:
    """S5: replacing 150,000 halves one by one would hold the loop for a second."""
    assert orjson.loads(read_event(b'{"payload":{"a":"%b"}}' % (b"\\ud800x" * 1000)).payload)
    with pytest.raises(BodyError, match="not valid JSON"):
        read_event(b'{"payload":{"a":"%b"}}' % (b"\\ud800x" * 1001))


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_event(BOM + b'{"payload":{"a":1.00}}').payload == b'{"a":1.00}'


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
        assert read_event(body).payload == orjson.dumps(value)
    else:
        with pytest.raises(BodyError):
            read_event(body)


def test_more_than_fifty_thousand_values_are_refused() -> None:
    fitting = MAX_VALUES - 3  # beside the event, its payload and the array
    assert read_event(orjson.dumps({"payload": {"a": [0] * fitting}}))
    with pytest.raises(BodyError, match="more than 50000 values"):
        read_event(orjson.dumps({"payload": {"a": [0] * (fitting + 1)}}))
