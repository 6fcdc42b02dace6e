"""POST /event and POST /events: what is put on the log, and what is answered."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import orjson
import pytest

from axonstream.event_contract import event_id_of, trace_id_of
from kit.offline_gateway import HEADERS, OfflineGateway

GOOD: dict[str, Any] = {"identifier": "web_search", "payload": {"query": "AI"}, "channel_id": 1}
RECENT = {"x-axonpush-api-key": "ak_local"}
_EXACT = '{"one": 1.0, "big":1180591620717411303424,"two53":9007199254740993,"none":null, "face":"\\ud83d\\ude00"}'


def test_the_answer_carries_the_event_in_the_early_form(offline: OfflineGateway) -> None:
    event = GOOD | {"agentId": "researcher", "traceId": "tr_1", "spanId": "sp_1", "parentEventId": 7}
    answer = offline.send("POST", "/event", json=event | {"eventType": "agent.error", "metadata": {"a": 1}})
    assert answer.status_code == 201
    fields = answer.json()
    assert fields["id"] == fields["eventId"] == offline.log.records[0].event_id
    assert fields["id"] == int(fields["id"])
    expected = {"channelId": 1, "agentId": "researcher", "traceId": "tr_1", "spanId": "sp_1", "parentEventId": 7}
    expected |= {"parentSpanId": None, "eventType": "agent.error", "metadata": {"a": 1}, "dedupKey": None}
    expected |= {"identifier": "web_search", "payload": {"query": "AI"}, "queued": False, "duplicate": False}
    assert {name: fields[name] for name in expected} == expected
    assert fields["createdAt"] == fields["created_at"] == fields["updatedAt"] == fields["updated_at"]
    assert datetime.fromisoformat(fields["createdAt"]).tzinfo is not None


def test_the_answer_has_the_time_at_which_kafka_took_the_event(offline: OfflineGateway) -> None:
    """Every read shows that one. The gateway's own clock, which the answer had, may be an hour off."""
    offline.log.at_ms = 1_700_000_000_123
    fields = offline.send("POST", "/event", json=GOOD).json()
    assert {fields["createdAt"], fields["updatedAt"]} == {"2023-11-14T22:13:20.123Z"}
    assert fields["occurredAt"] > "2026", "the event came without a time of its own, and happened before Kafka took it"
    offline.log.at_ms = None  # a topic that keeps the senders' times
    assert offline.send("POST", "/event", json=GOOD).json()["createdAt"] > "2026"


def test_a_recent_client_has_its_own_form(offline: OfflineGateway) -> None:
    headers = {"x-axonpush-api-key": "ak_other"}
    answer = offline.send("POST", "/event", headers=headers, json=GOOD | {"parentEventId": 7})
    assert answer.status_code == 200
    fields = answer.json()
    assert (fields["channelId"], fields["parentEventId"], fields["orgId"]) == ("1", "7", "2")
    assert fields["id"] == fields["eventId"] == str(offline.log.records[0].event_id)
    assert orjson.loads(offline.log.records[0].value)["tenant_id"] == "2"


@pytest.mark.parametrize("sent", [3765978677284868008, 7, 2**64 - 1, -5, str(2**70), "sp-1", "007", "1_0"])
def test_a_parents_id_comes_back_with_its_type_and_value(offline: OfflineGateway, sent: int | str) -> None:
    """An id of ours has 19 digits, and came back as text: it never equalled the id of the parent's own answer."""
    fields = offline.send("POST", "/event", json=GOOD | {"parentEventId": sent}).json()
    assert fields["parentEventId"] == sent
    assert type(fields["parentEventId"]) is type(sent)
    assert fields["parentEventIdText"] == str(sent)
    recent = offline.send("POST", "/event", headers=RECENT, json=GOOD | {"parentEventId": str(sent)}).json()
    assert recent["parentEventId"] == str(sent)


def test_every_id_that_is_a_json_number_is_there_as_text_too(offline: OfflineGateway) -> None:
    """JSON.parse makes ...432 of the number ...246."""
    app = offline.send("POST", "/apps", json={"name": "a"}).json()
    channel = offline.send("POST", "/channel", json={"name": "c", "appId": app["id"]}).json()
    endpoint = {"url": "https://example.com/", "channelId": channel["id"]}
    event = GOOD | {"channel_id": channel["id"], "parentEventId": 2**62}
    answers = [app, channel, offline.send("POST", "/webhooks/endpoints", json=endpoint).json()]
    answers.append(offline.send("POST", "/event", json=event).json())
    for answer in answers:
        ids = {name for name in answer if name == "id" or name.endswith("Id")}
        numbers = {name for name in ids if isinstance(answer[name], int)}
        assert {"id", "orgId"} < numbers
        assert {name: str(answer[name]) for name in numbers} == {name: answer[f"{name}Text"] for name in numbers}
    many = offline.send("POST", "/events", json=[event, event]).json()
    assert many["idTexts"] == [str(number) for number in many["ids"]]
    assert not [name for name in offline.send("POST", "/event", headers=RECENT, json=event).json() if "Text" in name]


def test_values_are_stored_and_answered_as_the_sender_wrote_them(offline: OfflineGateway) -> None:
    body = f'{{"identifier": "a", "payload": {_EXACT}, "channel_id": "1", "metadata": {_EXACT}}}'
    answer = offline.send("POST", "/event", content=body.encode())
    assert answer.status_code == 201
    for text in (answer.content, offline.log.records[0].value):
        assert text.count(_EXACT.encode()) == 2


def test_without_a_trace_id_the_server_makes_one(offline: OfflineGateway) -> None:
    trace_id = offline.send("POST", "/event", json=GOOD).json()["traceId"]
    assert re.fullmatch(r"tr_[0-9a-f]{16,}", trace_id)
    assert offline.log.records[0].trace_id == trace_id


def test_the_same_dedup_key_is_the_same_event(offline: OfflineGateway) -> None:
    event = GOOD | {"traceId": "tr_1", "dedupKey": "k"}
    ids = {offline.send("POST", "/event", json=event).json()["id"] for _ in range(2)}
    assert ids == {event_id_of("1", "tr_1", "k")}


def test_a_dedup_key_without_a_trace_is_one_event_of_one_trace_however_it_is_sent(offline: OfflineGateway) -> None:
    """Each request drew a trace of its own, so that a retry counted again."""
    event = GOOD | {"dedupKey": "order 7"}
    offline.send("POST", "/event", json=event)
    offline.send("POST", "/events", json=[event, event])
    offline.send("POST", "/event", headers={"x-axonpush-api-key": "ak_local"}, json=event)
    trace_id = trace_id_of("1", "order 7")
    assert {(one.trace_id, one.event_id) for one in offline.log.records} == {
        (trace_id, event_id_of("1", trace_id, "order 7"))
    }
    offline.send("POST", "/event", headers={"X-API-Key": "ak_other", "x-tenant-id": "2"}, json=event)
    assert offline.log.records[-1].trace_id == trace_id_of("2", "order 7")


@pytest.mark.parametrize(("in_body", "stored"), [({}, "staging"), ({"environment": "prod"}, "prod")])
def test_the_environment_header_stands_in_for_the_field(
    offline: OfflineGateway, in_body: dict[str, str], stored: str
) -> None:
    headers = {"X-API-Key": "ak_local", "x-tenant-id": "1", "X-Axonpush-Environment": "staging"}
    assert offline.send("POST", "/event", headers=headers, json=GOOD | in_body).json()["environment"] == stored
    assert orjson.loads(offline.log.records[0].value)["environment"] == stored


@pytest.mark.parametrize("ndjson", [False, True])
def test_valid_events_of_a_bulk_request_are_stored_although_others_are_refused(
    offline: OfflineGateway, ndjson: bool
) -> None:
    events = [GOOD, GOOD | {"identifier": ""}, GOOD | {"payload": {"t": "x" * (1 << 20)}}, GOOD | {"traceId": "tr_9"}]
    lines = [orjson.dumps(event) for event in events]
    body = b"\n".join(lines) if ndjson else b"[" + b", ".join(lines) + b"]"
    answer = offline.send("POST", "/events", content=body)
    assert answer.status_code == 200
    fields = answer.json()
    assert fields["accepted"] == 2
    assert [refused["index"] for refused in fields["rejected"]] == [1, 2]
    assert "identifier" in fields["rejected"][0]["message"]
    assert fields["ids"] == [record.event_id for record in offline.log.records]
    assert offline.log.records[1].trace_id == "tr_9"


def test_a_malformed_event_refuses_itself_alone_and_an_array_that_is_cut_off_all(offline: OfflineGateway) -> None:
    good = orjson.dumps(GOOD)
    lines = offline.send("POST", "/events", content=good + b"\n{nonsense\n" + good).json()
    assert (lines["accepted"], [refused["index"] for refused in lines["rejected"]]) == (2, [1])
    found = offline.send("POST", "/events", content=b"[" + good + b",{nonsense]").json()
    assert (found["accepted"], [refused["index"] for refused in found["rejected"]]) == (1, [1])
    offline.log.records.clear()
    assert offline.send("POST", "/events", content=b"[" + good + b",{nonsense").status_code == 400
    assert offline.send("POST", "/events", content=b"[]").status_code == 400
    assert offline.send("POST", "/events", content=b"").status_code == 400
    assert offline.log.records == []


@pytest.mark.parametrize("value", ["NaN", '"\\ud83d\\x"', "1e400", "'a'", '"a\nb"', "{", "0x1"])
@pytest.mark.parametrize("ndjson", [False, True])
def test_a_malformed_event_is_named_and_its_neighbours_are_stored(
    offline: OfflineGateway, value: str, ndjson: bool
) -> None:
    if ("\n" in value) if ndjson else (value == "{"):
        return  # a line feed ends a line, and an open bracket an array
    events = [f'{{"identifier":"s{n}","payload":{{"a":{value if n == 1 else n}}},"channel_id":1}}' for n in range(3)]
    body = "\n".join(events) if ndjson else f"[{','.join(events)}]"
    answer = offline.send("POST", "/events", content=body.encode())
    assert answer.status_code == 200
    assert [orjson.loads(record.value)["identifier"] for record in offline.log.records] == ["s0", "s2"]
    (refused,) = answer.json()["rejected"]
    assert refused["index"] == 1
    assert refused["message"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"events":[%b]}', {}),
        (b'{"events":[\n%b,\n%b\n]}', {}),
        (b"plain text", {}),
        (b'"%b"', {}),
        (b"\x1f\x8b%b", {}),
        (b"\xff\xfe[\x00]\x00", {}),
        (b"[1,null]", {}),
        (b"%b", {"Content-Encoding": "br"}),
    ],
)
def test_what_is_no_batch_is_never_answered_with_2xx(
    offline: OfflineGateway, body: bytes, headers: dict[str, str]
) -> None:
    """Shippers look at the status alone: a 2xx over nothing makes them forget the batch."""
    answer = offline.send("POST", "/events", content=body.replace(b"%b", orjson.dumps(GOOD)), headers=HEADERS | headers)
    assert answer.status_code in (400, 415)
    assert answer.json()["message"]
    assert offline.log.records == []


def test_a_bulk_of_which_nothing_is_taken_is_400_and_names_each_event(offline: OfflineGateway) -> None:
    answer = offline.send("POST", "/events", json=[GOOD | {"identifier": ""}, 7])
    assert answer.status_code == 400
    error = answer.json()
    assert error["code"] == "validation_error"
    assert "none of the 2 events" in error["message"]
    assert (error["accepted"], error["ids"]) == (0, [])
    assert [(one["index"], one["message"].split()[0]) for one in error["rejected"]] == [(0, "identifier"), (1, "the")]


@pytest.mark.parametrize("path", ["/event", "/events"])
def test_a_byte_order_mark_is_passed_over(offline: OfflineGateway, path: str) -> None:
    body = orjson.dumps(GOOD if path == "/event" else [GOOD])
    assert offline.send("POST", path, content=b"\xef\xbb\xbf" + body).is_success
    assert len(offline.log.records) == 1


def test_text_that_was_cut_inside_an_emoji_is_kept(offline: OfflineGateway) -> None:
    body = b'{"identifier":"cut \\ud83d","payload":{"text":"half \\ud83d","more":"\xed\xb8\x80"},"channel_id":1}'
    fields = offline.send("POST", "/event", content=body).json()
    assert fields["identifier"] == "cut \ufffd"
    assert fields["payload"] == {"text": "half \ufffd", "more": "\ufffd"}
    assert offline.send("POST", "/events", content=b"[%b,%b]" % (body, orjson.dumps(GOOD))).json()["accepted"] == 2


def test_a_bulk_body_beyond_the_limit_is_413(offline: OfflineGateway) -> None:
    answer = offline.send("POST", "/events", content=b" " * ((32 << 20) + 1))
    assert answer.status_code == 413
