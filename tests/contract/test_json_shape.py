"""Repeated keys, depth and the number of values are what a walk over the parsed text finds, however it is spelt."""

from __future__ import annotations

import gc
import json
from time import process_time
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from axonstream.contract.json_shape import JsonShapeError, read_json, too_many_values
from axonstream.event_contract import MAX_DEPTH, MAX_VALUES
from kit.dear_events import DEAR_PAYLOADS
from kit.slow_json import count_of_values, depth_of, wrong_shape_by_walking

_STRINGS = st.one_of(
    st.sampled_from(
        ['""', '"a"', '"\\u0061"', '"\\\\"', '"\\""', '"\\\\\\""', '":"', '"\\u0022"', '",\\"a\\":"', '"é"']
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4).map(json.dumps),
)
_SPACE = st.sampled_from(["", "", " ", "\n\t", "\r"])


@st.composite
def _objects(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    """With a key twice, as often as not."""
    members = [f"{draw(_STRINGS)}{draw(_SPACE)}:{draw(_SPACE)}{value}" for value in draw(st.lists(values, max_size=3))]
    return "{" + f"{draw(_SPACE)},".join(members) + draw(_SPACE) + "}"


@st.composite
def _arrays(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    return "[" + f"{draw(_SPACE)},{draw(_SPACE)}".join(draw(st.lists(values, max_size=3))) + draw(_SPACE) + "]"


_SCALARS = st.one_of(_STRINGS, st.sampled_from(["1", "1.00", "1e5", "-0", "true", "null", str(2**70)]))
TEXTS = st.recursive(_SCALARS, lambda inner: _objects(inner) | _arrays(inner), max_leaves=12)


@given(TEXTS)
@example('{"a":1,"\\u0061":2}')
@example('{"a":":","\\u003aa":1}')
@example('{"\\\\":1,"a":"\\""}')
def test_a_repeated_key_is_found_however_it_is_spelt(text: str) -> None:
    wrong = wrong_shape_by_walking(text.encode())
    if wrong is None:
        assert read_json(text.encode()) == orjson.loads(text)
    else:
        with pytest.raises(JsonShapeError, match=wrong):
            read_json(text.encode())


@given(TEXTS, st.integers(1, 12))
def test_depth_is_that_of_objects_and_arrays_in_each_other(text: str, most: int) -> None:
    body = text.encode()
    deep = depth_of(orjson.loads(body)) > most
    if wrong_shape_by_walking(body) == "a key is repeated":
        return
    if deep:
        with pytest.raises(JsonShapeError, match="deeper"):
            read_json(body, most)
    else:
        read_json(body, most)


@given(TEXTS, st.integers(1, 12))
def test_values_are_counted_outside_of_strings(text: str, most: int) -> None:
    if wrong_shape_by_walking(text.encode()) is None:
        assert too_many_values(text.encode(), most) is (count_of_values(orjson.loads(text)) > most)


@pytest.mark.slow
@pytest.mark.parametrize("one", ["[]", "{}", "1", '""', '"\\",["', '{"a":1}', "[[1]]", '{ "a" : [ ] }'])
def test_fifty_thousand_values_are_the_most(one: str) -> None:
    each = count_of_values(json.loads(one))
    fitting = (MAX_VALUES - 1) // each
    for count, too_many in ((fitting, False), (fitting + 1, True)):
        text = ("[" + ", ".join([one] * count) + "]").encode()
        assert (count_of_values(json.loads(text)) > MAX_VALUES) is too_many
        assert too_many_values(text) is too_many


def test_commas_and_brackets_within_a_string_are_no_values() -> None:
    assert not too_many_values(orjson.dumps({"text": ',[{"' * MAX_VALUES}))


def test_a_text_of_nothing_but_brackets_is_refused_before_it_is_parsed() -> None:
    assert too_many_values(b"[" * 1_000_000)


@pytest.mark.slow
@pytest.mark.parametrize("name", DEAR_PAYLOADS)
def test_the_dearest_texts_cost_a_few_times_what_parsing_them_takes(name: str) -> None:
    """S4: values were walked in Python, at hundreds of times the cost of parsing them."""
    text = DEAR_PAYLOADS[name]
    parsing, reading = [], []
    for _ in range(3):
        gc.disable()  # as `read_json` does: the comparison is of the two, not of what the collector makes of lists
        parsing.append(_cpu_s(lambda: orjson.loads(text)))
        gc.enable()
        reading.append(_cpu_s(lambda: (too_many_values(text), read_json(text, MAX_DEPTH))))
    assert min(reading) < 20 * min(parsing)


def _cpu_s(work: Any) -> float:
    started = process_time()
    for _ in range(3):
        work()
    return process_time() - started
