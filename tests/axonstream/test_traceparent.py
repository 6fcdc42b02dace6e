"""The W3C header traceparent: what is read of a valid one, and that any other is ignored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream import Traceparent, current_trace, read_traceparent, trace_scope

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "header",
    [VALID, f" {VALID}\t", f"00-{TRACE}-{SPAN}-00", f"01-{TRACE}-{SPAN}-ff", f"cc-{TRACE}-{SPAN}-01-what.next"],
)
def test_the_ids_of_a_valid_header_are_read(header: str):
    assert read_traceparent(header) == Traceparent(TRACE, SPAN)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        VALID.upper(),
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN[1:]}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"{VALID}-more",
        f"{VALID}-",
        f"01-{TRACE}-{SPAN}-01more",
        f"0-{TRACE}-{SPAN}-01",
        f"0g-{TRACE}-{SPAN}-01",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{'g' * 32}-{SPAN}-01",
        f"00-{'٣' * 32}-{SPAN}-01",
        f"{VALID}, {VALID}",
        f"{VALID}\n",
    ],
)
def test_a_header_that_is_not_valid_is_ignored(header: str):
    assert read_traceparent(header) is None


@given(st.text(alphabet="0123456789abcdefF-, \n", max_size=80) | st.text())
def test_nothing_raises(header: str):
    read_traceparent(header)


def test_a_scope_of_its_trace_id_joins_the_trace():
    parent = read_traceparent(VALID)
    assert parent
    with trace_scope(parent.trace_id):
        trace = current_trace()
        assert trace
        assert trace.trace_id == TRACE
