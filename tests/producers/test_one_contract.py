"""The three publishers have one contract: the same values, the same JSON, the same errors; none makes a dead letter.

Each test runs on each of them. The gateway is the real application over an event log in memory.
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import dataclasses
import datetime as dt
import decimal
import enum
import ipaddress
import pathlib
import threading
import types
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from axonstream import (
    APIConnectionError,
    AxonStreamError,
    EventInput,
    KafkaPublisher,
    PayloadTooLargeError,
    ValidationError,
    current_trace,
    trace_scope,
)
from axonstream.errors import ClientClosedError
from axonstream.event_contract import event_id_of, trace_id_of
from kit.three_publishers import KINDS, OnePublisher

SMALL: dict[str, Any] = {"identifier": "step", "payload": {}, "channel_id": 1}


class Model(BaseModel):
    size: int = 1
    when: dt.datetime = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)


@dataclasses.dataclass
class Point:
    x: int = 1
    seen: Any = None


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("a str that cannot be printed")


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no attributes")


class HostileDict(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("no items")


def ring() -> dict[str, Any]:
    made: dict[str, Any] = {}
    made["self"] = made
    return made


def deep(levels: int) -> dict[str, Any]:
    top: dict[str, Any] = {}
    at = top
    for _ in range(levels):
        at["a"] = {}
        at = at["a"]
    return top


REPR = "$repr"
# What a program hands over, and what is stored of it.
VALUES: dict[str, tuple[Any, Any]] = {
    "beyond 64 bits": (2**70, 2**70),
    "negative beyond 64 bits": (-(2**70), -(2**70)),
    "a float that is whole": (1.0, 1.0),
    "tuple": ((1, 2), [1, 2]),
    "set": ({2, 1}, [1, 2]),
    "frozenset": (frozenset({"a"}), ["a"]),
    "deque": (collections.deque([1]), [1]),
    "keys of a dict": ({"a": 1}.keys(), ["a"]),
    "read-only mapping": (types.MappingProxyType({"a": (1,)}), {"a": [1]}),
    "uuid": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "decimal": (decimal.Decimal("1.10"), "1.10"),
    "path": (pathlib.PurePosixPath("a/b"), "a/b"),
    "time": (dt.datetime(2026, 1, 31, tzinfo=dt.UTC), "2026-01-31T00:00:00Z"),
    "date": (dt.date(2026, 1, 31), "2026-01-31"),
    "duration": (dt.timedelta(seconds=1), "PT1S"),
    "address": (ipaddress.ip_address("::1"), "::1"),
    "bytes": (b"abc", "abc"),
    "enum": ([Color.RED, Level.HIGH], ["red", 3]),
    "text of a class of its own": (Text("a"), "a"),
    "model": (Model(), {"size": 1, "when": "2026-01-31T00:00:00Z"}),
    "dataclass": (Point(seen={1}), {"x": 1, "seen": [1]}),
    "half a surrogate pair": ("cut \ud83d", "cut \ufffd"),
    "two halves": ("\ud83d\ude00", "😀"),
    "keys that are not text": (
        {1: "a", "1": "b", None: "c", False: "d", 2.5: "e", (1, 2): "f", "\ud83d": "g", Color.RED: "h"},
        {"1": "a", "1 (2)": "b", "null": "c", "false": "d", "2.5": "e", "(1, 2)": "f", "\ufffd": "g", "red": "h"},
    ),
    "nan": ([float("nan"), None], [{REPR: "nan"}, None]),
    "infinity": (float("-inf"), {REPR: "-inf"}),
    "beyond a double": (10**400, {REPR: "100000000000000000...0000000000000000000"}),
    "bytes that are not UTF-8": (b"\xff", {REPR: "b'\\xff'"}),
    "exception": (ValueError("x"), {REPR: "ValueError('x')"}),
    "class": (int, {REPR: "<class 'int'>"}),
    "ring": (ring(), {"self": {REPR: "{'self': {'self': {'self': {...}}}}"}}),
}
# Of which only the mark is the same each time.
MARKED: dict[str, Any] = {
    "object": object(),
    "function": len,
    "lock": threading.Lock(),
    "hostile object": Hostile(),
    "hostile mapping": HostileDict(a=1),
    "model that holds itself": Point(seen=[ring]),
    "beyond what Python prints": 10**5000,
}


@pytest.fixture(params=KINDS)
def publisher(request: pytest.FixtureRequest) -> OnePublisher:
    return OnePublisher(request.param)


def stored(publisher: OnePublisher, value: Any, name: str = "payload") -> Any:
    """What is stored of a value in the payload, or in the metadata."""
    publisher.publish(**SMALL | {name: {"v": value}})
    raw = getattr(publisher.events()[-1], name)
    return orjson.loads(bytes(raw))["v"]


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_stored_as_the_same_json_by_all_three(publisher: OnePublisher, name: str) -> None:
    value, expected = VALUES[name]
    for place in ("payload", "metadata"):
        found = stored(publisher, value, place)
        assert (found, type(found)) == (expected, type(expected)) or name.endswith("64 bits")
        if name.endswith("64 bits"):  # orjson reads it as a float
            assert str(expected).encode() in bytes(getattr(publisher.events()[-1], place))


@pytest.mark.parametrize("name", MARKED)
def test_what_is_not_json_is_stored_as_its_marked_repr(publisher: OnePublisher, name: str) -> None:
    found = orjson.dumps(stored(publisher, MARKED[name]))
    assert b'{"$repr":"' in found


USAGE: dict[str, Any] = {
    "session_id": "s 1",
    "user_id": "é",
    "customer": "c",
    "workflow": "w",
    "service_name": "billing",
    "release": "1.2",
    "model": "m",
    "provider": "p",
    "input_tokens": 0,
    "output_tokens": 10**12,
    "cached_input_tokens": 1,
    "reasoning_tokens": 2,
    "cost_usd": decimal.Decimal("123456.123456789012"),
    "error_type": "TimeoutError",
    "status": "error",
    "duration_ms": 316_224_000_000,
}


def test_whose_it_is_and_what_it_took_is_the_same_by_all_three(publisher: OnePublisher) -> None:
    publisher.publish(**SMALL | USAGE)
    publisher.publish_many([SMALL | USAGE, EventInput(**SMALL | USAGE)])
    assert [{name: getattr(event, name) for name in USAGE} for event in publisher.events()] == [USAGE] * 3
    publisher.publish(**SMALL | dict.fromkeys(USAGE))
    assert b"cost_usd" not in publisher.log.records[-1].value
    assert not set(USAGE) & orjson.loads(publisher.log.records[-1].value).keys()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (0, b'"0"'),
        (-0.0, b'"0"'),
        (7, b'"7"'),
        (100, b'"100"'),
        (0.1, b'"0.1"'),
        (1e-7, b'"0.0000001"'),
        (decimal.Decimal("0.0010"), b'"0.001"'),
        (decimal.Decimal("1E+2"), b'"100"'),
        (decimal.Decimal("0.0000000000005"), b'"0"'),
        (decimal.Decimal("0.0000000000015"), b'"0.000000000002"'),
        (999_999, b'"999999"'),
    ],
)
def test_a_cost_has_one_text_in_the_record(publisher: OnePublisher, given: Any, text: bytes) -> None:
    publisher.publish(**SMALL | {"cost_usd": given})
    assert b'"cost_usd":%b,' % text in publisher.log.records[-1].value


def test_a_generator_is_named_and_not_consumed(publisher: OnePublisher) -> None:
    letters = iter("ab")
    assert stored(publisher, letters)[REPR].startswith("<str_")
    assert list(letters) == ["a", "b"]


def test_all_three_write_the_same_bytes() -> None:
    payload = {name: value for name, (value, _) in VALUES.items()}
    written = {
        kind: bytes(one.events()[-1].payload)
        for kind in KINDS
        if (one := OnePublisher(kind)).publish(**SMALL | {"payload": payload})
    }
    assert len(set(written.values())) == 1, written


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.decimals()
    | st.datetimes()
    | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text() | st.integers() | st.none() | st.floats() | st.tuples(st.integers()), inner)
    ),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.dictionaries(st.text(st.characters()) | st.integers(), anything, max_size=3))
def test_whatever_is_in_a_payload_it_is_stored_by_all_three(payload: dict[Any, Any]) -> None:
    written = set[bytes]()
    for kind in KINDS:
        one = OnePublisher(kind)
        one.publish(**SMALL | {"payload": payload})
        written.add(bytes(one.events()[-1].payload))
    assert len(written) == 1


WRONG: dict[str, tuple[dict[str, Any], type[AxonStreamError], str]] = {
    "no identifier": ({"identifier": ""}, ValidationError, "identifier"),
    "identifier is None": ({"identifier": None}, ValidationError, "identifier"),
    "identifier is too long": ({"identifier": "é" * 129}, ValidationError, "identifier: must be at most"),
    "identifier has a NUL": ({"identifier": "a\x00"}, ValidationError, "identifier: must not hold"),
    "payload is a list": ({"payload": [1]}, ValidationError, "payload"),
    "payload is an object of a class": ({"payload": object()}, ValidationError, "payload"),
    "metadata is text": ({"metadata": "text"}, ValidationError, "metadata"),
    "channel is text": ({"channel_id": "one"}, ValidationError, "channel_id: must be a whole number"),
    "channel is negative": ({"channel_id": -1}, ValidationError, "channel_id"),
    "type has capitals": ({"event_type": "Agent Start"}, ValidationError, "event_?[tT]ype"),
    "trace is empty": ({"trace_id": ""}, ValidationError, "trace_?[iI]d"),
    "agent is a number": ({"agent_id": 7}, ValidationError, "agent_?[iI]d"),
    "time has no zone": ({"occurred_at": "2026-01-31T00:00:00"}, ValidationError, "occurred_?[aA]t: must carry"),
    "tokens are negative": ({"input_tokens": -1}, ValidationError, "input_?[tT]okens"),
    "tokens are text": ({"output_tokens": "5"}, ValidationError, "output_?[tT]okens: must be a whole number"),
    "tokens are a float": ({"cached_input_tokens": 1.0}, ValidationError, "cached_?[iI]nput_?[tT]okens"),
    "tokens are true": ({"reasoning_tokens": True}, ValidationError, "reasoning_?[tT]okens"),
    "tokens are too many": ({"input_tokens": 10**12 + 1}, ValidationError, "input_?[tT]okens"),
    "cost is text": ({"cost_usd": "0.5"}, ValidationError, "cost_?[uU]sd: must be a number from 0 to 999999"),
    "cost is true": ({"cost_usd": True}, ValidationError, "cost_?[uU]sd: must be a number"),
    "cost is not a number": ({"cost_usd": float("nan")}, ValidationError, "cost_?[uU]sd: must be a number"),
    "cost is no Decimal number": ({"cost_usd": decimal.Decimal("sNaN")}, ValidationError, "cost_?[uU]sd: must be a"),
    "cost is infinite": ({"cost_usd": decimal.Decimal("Infinity")}, ValidationError, "cost_?[uU]sd: must be a"),
    "cost is negative": ({"cost_usd": -0.01}, ValidationError, "cost_?[uU]sd: must be a number from 0"),
    "cost is too high": ({"cost_usd": 999_999.01}, ValidationError, "cost_?[uU]sd: must be a number from 0 to 999999"),
    "status is unknown": ({"status": "failed"}, ValidationError, "status: .*'ok' or 'error'"),
    "duration is negative": ({"duration_ms": -1}, ValidationError, "duration_?[mM]s"),
    "model is a number": ({"model": 5}, ValidationError, "model"),
    "payload is too deep": ({"payload": deep(150)}, ValidationError, "nested deeper than 100"),
    "payload is far too deep": ({"payload": deep(5000)}, ValidationError, "nested deeper than 100"),
    "payload has too many values": ({"payload": {"v": [0] * 50_001}}, ValidationError, "more than 50000 values"),
    "payload is too large": ({"payload": {"v": "x" * (1 << 20)}}, PayloadTooLargeError, "larger than 1048576"),
    "metadata is too large": ({"metadata": {"v": "x" * (1 << 20)}}, PayloadTooLargeError, "larger than 1048576"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_breaks_the_contract_is_the_same_error_and_is_not_stored(publisher: OnePublisher, name: str) -> None:
    fields, kind, named = WRONG[name]
    with pytest.raises(AxonStreamError, match=named) as caught:
        publisher.publish(**SMALL | fields)
    assert type(caught.value) is kind
    assert "Value error" not in str(caught.value)
    assert caught.value.hint
    assert publisher.log.records == []


@pytest.mark.parametrize("name", WRONG)
def test_in_a_batch_it_is_named_by_its_place_and_takes_no_other_along(publisher: OnePublisher, name: str) -> None:
    fields, _, named = WRONG[name]
    result = publisher.publish_many(iter([SMALL, SMALL | fields, SMALL | {"identifier": "last"}]))
    assert (result.accepted, len(result.ids)) == (2, 2)
    assert [one.index for one in result.rejected] == [1]
    assert [event.identifier for event in publisher.events()] == ["step", "last"]
    assert publisher.kind == "KafkaPublisher" or result.rejected[0].message
    with pytest.raises(ValidationError, match=named if "large" not in name else "larger"):
        publisher.publish_many([SMALL | fields])
    assert len(publisher.log.records) == 2


def test_places_are_those_of_the_given_batch_whoever_refuses(publisher: OnePublisher) -> None:
    """The first is refused here, the third by the server or the validation."""
    result = publisher.publish_many([{}, SMALL, SMALL | {"payload": deep(150)}, "text", SMALL])
    assert [one.index for one in result.rejected] == [0, 2, 3]
    assert result.accepted == 2


def test_a_batch_without_events_is_no_error(publisher: OnePublisher) -> None:
    assert publisher.publish_many([]).accepted == 0


def test_an_event_that_was_checked_before_is_written_in_the_same_way(publisher: OnePublisher) -> None:
    event = EventInput(identifier="cut \ud83d", payload={"v": {1}}, channel_id=1, agent_id="\ud83d\ude00")
    publisher.publish_many([event])
    [found] = publisher.events()
    assert (found.identifier, found.agent_id, bytes(found.payload)) == ("cut \ufffd", "😀", b'{"v":[1]}')


def test_names_cut_inside_an_emoji_are_kept(publisher: OnePublisher) -> None:
    publisher.publish(**SMALL | {"identifier": "a\ud83d", "agent_id": "b\ud83d", "dedup_key": "c\ud83d"})
    [found] = publisher.events()
    assert (found.identifier, found.agent_id, found.dedup_key) == ("a\ufffd", "b\ufffd", "c\ufffd")


def test_the_publishers_environment_goes_with_events_that_have_none() -> None:
    for kind in KINDS:
        one = OnePublisher(kind, environment="production")
        one.publish_many([SMALL, SMALL | {"environment": "staging"}, EventInput(**SMALL)])
        one.publish(**SMALL)
        assert [event.environment for event in one.events()] == ["production", "staging", "production", "production"]


def in_an_empty_context(work: Callable[[], Any]) -> Any:
    return contextvars.Context().run(work)


def test_publishing_without_a_trace_leaves_none_behind(publisher: OnePublisher) -> None:
    """Requests that share a thread, a parent that publishes before it forks: none is merged with another."""

    def work() -> list[str]:
        for _ in range(2):
            publisher.publish(**SMALL)
            assert current_trace() is None
        publisher.publish_many([SMALL, SMALL])
        assert current_trace() is None
        return [record.trace_id for record in publisher.log.records]

    assert len(set(in_an_empty_context(work))) == 4


def test_events_join_the_current_trace(publisher: OnePublisher) -> None:
    with trace_scope() as trace:
        publisher.publish(**SMALL)
        publisher.publish_many([SMALL, EventInput(**SMALL), SMALL | {"traceId": "tr_named"}])
    found = [record.trace_id for record in publisher.log.records]
    assert found == [trace.trace_id] * 3 + ["tr_named"]


def test_a_dedup_key_without_a_trace_is_one_event_of_one_trace_however_often_it_is_sent(
    publisher: OnePublisher,
) -> None:
    """Each call drew a trace of its own, so that a retry in another process counted again."""
    event: dict[str, Any] = SMALL | {"dedup_key": "order 7"}

    def work() -> list[tuple[str, int]]:
        publisher.publish(**event)
        publisher.publish_many([event, EventInput.model_validate(event)])
        return [(record.trace_id, record.event_id) for record in publisher.log.records]

    trace_id = trace_id_of("1", "order 7")
    assert in_an_empty_context(work) == [(trace_id, event_id_of("1", trace_id, "order 7"))] * 3
    with trace_scope() as trace:
        assert publisher.publish(**event).trace_id == trace.trace_id


@pytest.mark.parametrize("tenant", [True, "", " 1", "é", "t" * 257, None, 1.0])
def test_a_tenant_that_cannot_be_is_refused_by_all_three(tenant: Any) -> None:
    for kind in KINDS[:2]:
        with pytest.raises(ValidationError, match="tenant_id"):
            getattr(__import__("axonstream"), kind)("ak_local", tenant)
    with pytest.raises(ValidationError, match="tenant_id"):
        KafkaPublisher(bootstrap_servers="127.0.0.1:1", tenant_id=tenant)


def test_what_kafka_does_not_acknowledge_is_a_lost_connection_and_a_closed_publisher_says_so() -> None:
    one = OnePublisher("KafkaPublisher")
    one.log.acknowledges = False
    with pytest.raises(APIConnectionError):
        one.publish(**SMALL)
    publisher = KafkaPublisher(bootstrap_servers="127.0.0.1:1", tenant_id="1")

    async def close_and_publish() -> None:
        await publisher.close()
        await publisher.publish(**SMALL)

    with pytest.raises(ClientClosedError):
        asyncio.run(close_and_publish())


@pytest.fixture(autouse=True)
def _no_trace() -> Iterator[None]:
    """Each test begins where no trace is current."""
    assert current_trace() is None
    yield
    assert current_trace() is None
