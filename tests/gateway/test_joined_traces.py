"""A publish request with the W3C header traceparent: events that name no trace join the one of the header."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from axonstream.event_contract import event_id_of
from kit.offline_gateway import HEADERS, OfflineGateway

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
IN_TRACE = HEADERS | {"traceparent": f"00-{TRACE}-{SPAN}-01"}
GOOD: dict[str, Any] = {"identifier": "a", "payload": {"one": 1.0}, "channel_id": 1}


def stored(offline: OfflineGateway) -> list[tuple[str, str | None]]:
    """Trace and parent span of every event on the log."""
    events = [orjson.loads(record.value) for record in offline.log.records]
    return [(event["trace_id"], event.get("parent_span_id")) for event in events]


@pytest.mark.parametrize(
    ("fields", "trace_id", "parent_span_id"),
    [
        ({}, TRACE, SPAN),
        ({"traceId": None, "parentSpanId": None}, TRACE, SPAN),
        ({"parentSpanId": "sp_1"}, TRACE, "sp_1"),
        ({"parent_span_id": "sp_1"}, TRACE, "sp_1"),
        ({"traceId": "tr_1"}, "tr_1", None),
        ({"trace_id": "tr_1"}, "tr_1", None),
        ({"traceId": "tr_1", "parentSpanId": "sp_1"}, "tr_1", "sp_1"),
    ],
)
def test_an_event_joins_the_trace_of_the_header_unless_it_names_one(
    offline: OfflineGateway, fields: dict[str, Any], trace_id: str, parent_span_id: str | None
) -> None:
    answer = offline.send("POST", "/event", headers=IN_TRACE, json=GOOD | fields)
    assert answer.status_code == 201
    assert (answer.json()["traceId"], answer.json()["parentSpanId"]) == (trace_id, parent_span_id)
    assert stored(offline) == [(trace_id, parent_span_id)]


def test_the_same_dedup_key_in_the_same_context_is_the_same_event(offline: OfflineGateway) -> None:
    for span in (SPAN, "1111111111111111"):
        headers = HEADERS | {"traceparent": f"00-{TRACE}-{span}-00"}
        event = offline.send("POST", "/event", headers=headers, json=GOOD | {"dedupKey": "k"}).json()
        assert event["id"] == event_id_of("1", TRACE, "k")


def test_it_is_the_default_of_the_events_of_a_bulk_request(offline: OfflineGateway) -> None:
    events = [GOOD, GOOD | {"traceId": "tr_1"}, GOOD | {"traceId": ""}, GOOD | {"parentSpanId": "sp_1"}]
    answer = offline.send("POST", "/events", headers=IN_TRACE, json=events).json()
    assert (answer["accepted"], [refused["index"] for refused in answer["rejected"]]) == (3, [2])
    assert stored(offline) == [(TRACE, SPAN), ("tr_1", None), (TRACE, "sp_1")]


@pytest.mark.parametrize(
    "header",
    ["", "nonsense", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE.upper()}-{SPAN}-01", "\xff"],
)
def test_a_header_that_is_not_valid_is_ignored(offline: OfflineGateway, header: str) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in (HEADERS | {"traceparent": header}).items()]
    assert offline.send("POST", "/event", headers=headers, json=GOOD).status_code == 201
    assert offline.send("POST", "/events", headers=headers, json=[GOOD]).json()["accepted"] == 1
    for trace_id, parent_span_id in stored(offline):
        assert re.fullmatch(r"tr_[0-9a-f]{16}", trace_id)
        assert parent_span_id is None
