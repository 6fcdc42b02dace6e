"""A bulk body is cut into its events without being parsed, and not beyond the first excess."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream.event_contract import MAX_EVENT_BYTES
from axonstream.gateway.publishing.bulk_body import TooLargeError, split_events
from axonstream.gateway.publishing.sender_bytes import BOM, BodyError
from axonstream.gateway.publishing.value_end import MOST_STEPS, TooFarError, ValueEnds
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
    [
        b"[",
        b"[1",
        b"[1,",
        b"[1]x",
        b"[]x",
        b"[]]x",
        b'["a',
        b"[" * 100_000,
        b"[{},",
        b'[{},{"a":[1}',
        b'[{},{"a":"x},{}',
    ],
    ids=lambda body: body[:8].decode(),
)
def test_an_array_without_an_end_is_refused_whole(body: bytes) -> None:
    """It was cut off: its sender sends all of it again."""
    with pytest.raises(BodyError, match="not valid JSON"):
        list(split_events(body, 1000))


@pytest.mark.parametrize(
    ("body", "elements"),
    [
        (b"[1,]", [b"1", b""]),
        (b"[,1]", [b"", b"1"]),
        (b"[1,,2]", [b"1", b"", b"2"]),
        (b"[1 2]", [b"1 2"]),
        (b"[1]]", [b"1]"]),
        (b"[[}]", [b"[}"]),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
)
def test_what_stands_between_two_commas_is_one_element_whatever_it_is(body: bytes, elements: list[bytes]) -> None:
    assert list(split_events(body, 1000)) == elements


_GOOD = b'{"b":[1,"]"]}'


@pytest.mark.parametrize(
    "bad",
    [
        *(b"NaN", b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1e400}', b"{'a':1}", b'{"a":1,}', b'{"a":}', b"nonsense"),
        *(
            b'{"a":"\\ud83d"}',
            b'{"\\ude00":1}',
            b'{"a":"x\ny"}',
            b'{"a":"\xff"}',
            b'{"a":"\xed\xa0\xbd"}',
            b'{"a":"\\x"}',
        ),
        *(b'{"a":"\\\\",NaN}', b'{"a":"\\"]},",NaN}', b"01", b"[" * 5000 + b"]" * 5000),
        b'{"a":"' + b"x" * 5 * MAX_EVENT_BYTES + b'"}',
        b'{"a":NaN,"b":"' + b"x" * MAX_EVENT_BYTES + b'"}',
        b"{" + b"x" * MAX_EVENT_BYTES + b"}",
    ],
    ids=lambda body: repr(body[:16]),
)
def test_a_malformed_event_takes_no_other_with_it(bad: bytes) -> None:
    """One NaN among three events of an array refused all three."""
    for events in ([_GOOD, bad, _GOOD], [bad, _GOOD], [_GOOD, bad], [bad]):
        assert [one for one in split_events(b"[" + b" , ".join(events) + b"]", 10) if one is not None] == events


@given(st.lists(OBJECTS | VALUES, min_size=1, max_size=5), SPACE)
def test_an_end_is_found_by_brackets_where_a_parser_finds_it(elements: list[str], space: str) -> None:
    body = b"[" + f"{space},{space}".join(elements).encode() + b"]"
    at, found = 1, list[bytes]()
    ends = ValueEnds(body)
    while at < len(body):
        end = [one for one in ends.after(at) if one is not None][-1]
        found.append(body[at:end].strip(b" \t\r\n"))
        at = end + 1
    assert found == [one.encode().strip() for one in elements]


@pytest.mark.slow
def test_looking_for_ends_gives_turns_and_ends() -> None:
    """S5: a body of brackets would hold the loop for seconds."""
    body = b'[{"a":NaN' + b",[]" * MOST_STEPS + b"}]"
    with pytest.raises(TooLargeError, match="malformed"):
        list(split_events(body, 10))
    turns = 0

    def look() -> None:
        nonlocal turns
        for _ in ValueEnds(body).after(1):
            turns += 1

    with pytest.raises(TooFarError):
        look()
    assert turns >= MOST_STEPS // 1000


@pytest.mark.parametrize(
    "body",
    [
        b'{"events":[\n{"identifier":"a"},\n{"identifier":"b"}\n]}',
        b'{\n  "identifier": "a"\n}\n',
        b'{"events":[\n' + b'{"a":1},\n' * MAX_EVENT_BYTES,
    ],
    ids=["wrapped", "indented", "large"],
)
def test_one_value_over_several_lines_is_no_ndjson(body: bytes) -> None:
    """The last line of the first body alone looked like an event, and was stored."""
    with pytest.raises(BodyError, match="over several lines"):
        list(split_events(body, 10))


@pytest.mark.parametrize("body", [b"[{}]", b"{}\n{}", b" {}"])
def test_a_byte_order_mark_is_passed_over(body: bytes) -> None:
    assert list(split_events(BOM + body, 10)) == list(split_events(body, 10))


@given(st.binary(max_size=60))
def test_any_bytes_are_cut_or_refused_with_words(body: bytes) -> None:
    for text in (body, b"[" + body, b"[" + body + b"]"):
        with suppress(BodyError, TooLargeError):
            assert all(piece is None or piece in text for piece in split_events(text, 10))


@pytest.mark.parametrize("body", [b"[0,0,0,", b"{}\n{}\n{}\n", b"1\n2\n3"])
def test_too_many_events_are_refused_at_the_first_beyond(body: bytes) -> None:
    """S5: what follows is not looked at; the array above is cut off."""
    with pytest.raises(TooLargeError, match="more than 2 events"):
        list(split_events(body, 2))


@pytest.mark.slow
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
