"""A bulk body is cut into its events without being parsed, and not beyond the first excess."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream.event_contract import MAX_EVENT_BYTES
from gateway.publishing.bulk_body import TooLargeError, split_events
from gateway.publishing.sender_bytes import BodyError
from kit.json_texts import OBJECTS, SPACE, TEXT, VALUES


@given(st.lists(OBJECTS | VALUES, max_size=5), SPACE)
def test_an_array_is_split_into_its_elements(elements: list[str], space: str) -> None:
    body = f"{space}[{space}" + f"{space},{space}".join(elements) + f"{space}]{space}"
    assert list(split_events(body.encode(), 1000)) == [text.strip(" \t\r\n").encode() for text in elements]


@given(st.lists(st.dictionaries(TEXT, st.integers()), max_size=5))
def test_ndjson_is_split_into_its_lines_without_blank_ones(objects: list[dict[str, int]]) -> None:
    lines = [json.dumps(one).encode() for one in objects]
    assert list(split_events(b"\n\n".join(lines) + b"\n \r\n", 1000)) == lines


@pytest.mark.parametrize(
    "body",
    [b"[", b"[1", b"[1,", b"[1,]", b"[1 2]", b"[,1]", b"[1]x", b"[1]]", b'["a', b"[NaN]", b"[" * 100_000, b"[01]"],
    ids=lambda body: body[:8].decode(),
)
def test_an_array_that_is_malformed_between_its_events_is_refused_whole(body: bytes) -> None:
    with pytest.raises(BodyError, match="not valid JSON"):
        list(split_events(body, 1000))


@given(st.binary(max_size=60))
def test_any_bytes_are_cut_or_refused_with_words(body: bytes) -> None:
    for text in (body, b"[" + body, b"[" + body + b"]"):
        with suppress(BodyError, TooLargeError):
            assert all(piece in text for piece in split_events(text, 10))


@pytest.mark.parametrize("body", [b"[0,0,0,", b"{}\n{}\n{}\n", b"1\n2\n3"])
def test_too_many_events_are_refused_at_the_first_beyond(body: bytes) -> None:
    """S5: what follows is not looked at; the array above is cut off."""
    with pytest.raises(TooLargeError, match="more than 2 events"):
        list(split_events(body, 2))


def test_an_event_of_which_the_end_is_not_near_ends_the_reading() -> None:
    """S5: 31 MiB of small values were made Python objects before anything was counted."""
    with pytest.raises(TooLargeError, match="larger than"):
        list(split_events(b'[{"a":[' + b"[]," * (10 * MAX_EVENT_BYTES) + b"0]}]", 10))


@pytest.mark.parametrize("space", [b"\n", b" ", b"\r\n"])
@pytest.mark.parametrize("body", [b"%b{}", b"[%b{}]", b"[{},%b{}]", b"[{}]%b", b"{}\n%b{}", b"{}\n%b"])
def test_white_space_without_end_ends_the_reading(body: bytes, space: bytes) -> None:
    """S5: 31 MiB of blank lines, 31 KiB when compressed, were looked at one by one: no other caller for 18 s of CPU."""
    events = list(split_events(body % b"", 10))
    assert list(split_events(body % (space * MAX_EVENT_BYTES), 10)) == events
    with pytest.raises(TooLargeError, match="white space"):
        list(split_events(body % (space * (31 << 20)), 10))


def test_an_event_that_is_too_large_does_not_take_its_neighbours_along() -> None:
    large = b'{"a":"' + b"x" * 2 * MAX_EVENT_BYTES + b'"}'
    assert list(split_events(b"[1," + large + b",2]", 10)) == [b"1", large, b"2"]
