"""A summary is a JSON object whatever the names are, and the lists of names hold what was put in."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from axonstream.kafka.topics import state_key
from axonstream.stream_processors.name_list import NO_NAMES, names_in, names_json, with_name
from axonstream.stream_processors.snapshots import summary_record
from axonstream.stream_processors.trace_state import FirstError, TraceState

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20)
NUMBERS = st.integers(0, (1 << 63) - 1)
NO_ERROR = FirstError(0, 0, 0, "", "", "")


@given(names=st.lists(NAMES | st.sampled_from([",", "a", "ab", '"', "x" * 200]), max_size=12), most=st.integers(1, 8))
def test_a_name_list_is_a_capped_list_of_distinct_names(names: list[str], most: int) -> None:
    packed, plain = NO_NAMES, list[str]()
    for name in names:
        known = with_name(packed, name, most)
        if name in plain:
            assert known == packed
        elif len(plain) == most:
            assert known is None
        else:
            assert known is not None
            packed = known
            plain.append(name)
    assert names_in(packed) == plain
    assert names_json(packed) == orjson.dumps(plain)


@given(
    names=st.lists(NAMES, min_size=7, max_size=7),
    numbers=st.lists(NUMBERS, min_size=11, max_size=11),
    failed=st.booleans(),
    exact=st.booleans(),
)
def test_the_summary_is_the_json_of_the_state(names: list[str], numbers: list[int], failed: bool, exact: bool) -> None:
    tenant_id, trace_id, agent, event_type, *error_names = names
    span_id, identifier, of_agent = error_names
    error = FirstError(1, numbers[9], numbers[10], span_id, identifier, of_agent) if failed else None
    agents, event_types = with_name(NO_NAMES, agent, 1) or b"", with_name(NO_NAMES, event_type, 1) or b""
    state = TraceState(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4])
    state.event_count, state.counts = numbers[5], numbers[6:9]
    state.exact, state.first_error = exact, error
    state.agents, state.event_types = agents, event_types
    key, value = summary_record(state_key(tenant_id, trace_id), state)
    first = error or NO_ERROR
    assert key == f"{tenant_id}\x00{trace_id}".encode()
    assert value == orjson.dumps(
        {
            "v": 1,
            "tenant_id": tenant_id,
            "trace_id": trace_id,
            "first_offset": state.first_offset,
            "last_offset": state.last_offset,
            "event_count": state.event_count,
            "error_count": state.counts[0],
            "tool_call_count": state.counts[1],
            "handoff_count": state.counts[2],
            "first_at": state.first_at,
            "last_at": state.last_at,
            "last_received_at": state.last_received_at,
            "agents": [agent],
            "event_types": [event_type],
            "first_error_event_id": first.event_id,
            "first_error_step": first.step,
            "first_error_span_id": first.span_id,
            "first_error_identifier": first.identifier,
            "first_error_agent_id": first.agent_id,
            "exact": int(exact),
            **({"last_failed": 0} if failed else {}),
        }
    )
