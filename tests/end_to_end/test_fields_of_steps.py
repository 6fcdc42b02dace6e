"""Whose a step was, what it took and cost, how it ended: from each way of publishing to every read, digit for digit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from secrets import token_hex
from typing import Any

import httpx
import orjson
import pytest

from axonstream import AxonPush, EventInput, EventType, KafkaPublisher
from axonstream.clickhouse.client import connect_blocking
from axonstream.event_fields import RARE
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.verification import verify
from kit.running_stack import HEADERS

pytestmark = pytest.mark.services

RECENT = {"x-axonpush-api-key": "ak_local"}
COST = "123456.123456789012"  # more digits than a float holds
STEP: dict[str, Any] = {
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
    "cost_usd": Decimal(COST),
    "error_type": "TimeoutError",
    "status": "error",
    "duration_ms": 86_400_000,
}
WIRE = {field.wire: STEP[field.name] for field in RARE} | {"costUsd": orjson.Fragment(COST)}
ANSWERED = {field.answered: STEP[field.name] for field in RARE if field.name != "cost_usd"} | {"costUsdText": COST}
NAMES = {field.answered for field in RARE} | {"costUsdText"}
PLAIN: dict[str, Any] = {"identifier": "step", "payload": {}, "channel_id": 2}
PUBLISHED = 5  # with every field; one more has none


def published(url: str, settings: Settings, trace_id: str) -> list[dict[str, Any]]:
    """By HTTP one by one, as an array and as lines, by the SDK, and straight to Kafka. The answers of HTTP to one."""
    sent = PLAIN | {"traceId": trace_id, "eventType": EventType.AGENT_LLM_END.value} | WIRE
    with httpx.Client(base_url=url, timeout=60) as http:
        answers = [http.post("/event", content=orjson.dumps(sent), headers=headers) for headers in (HEADERS, RECENT)]
        bodies = [orjson.dumps([sent]), orjson.dumps(sent) + b"\n"]
        many = [http.post("/events", content=body, headers=HEADERS) for body in bodies]
    assert [answer.status_code for answer in answers + many] == [201, 200, 200, 200]
    with AxonPush("ak_local", "1", base_url=url) as client:
        event = client.events.publish(**PLAIN, trace_id=trace_id, event_type="agent.llm.start")
        assert (event.cost_usd, event.input_tokens, event.step_status, event.model) == (None, None, None, None)

    async def straight_to_kafka() -> None:
        topic = Topics(settings.topic_prefix).events
        servers = settings.kafka_bootstrap_servers
        async with KafkaPublisher(bootstrap_servers=servers, tenant_id="1", topic=topic) as publisher:
            await publisher.publish_many([EventInput(**PLAIN, trace_id=trace_id, **STEP)])

    asyncio.run(straight_to_kafka())
    return [digits_kept(answer.content, 1) for answer in answers]


def digits_kept(body: bytes, steps: int) -> Any:
    """The JSON, after a look whether the cost of so many steps is a number with all its digits."""
    assert body.count(b'"costUsd":%b,' % COST.encode()) == steps
    return orjson.loads(body)


def must_be_whole(events: Sequence[dict[str, Any]]) -> None:
    plain = [event for event in events if event["eventType"] == "agent.llm.start"]
    assert (len(events), len(plain)) == (PUBLISHED + 1, 1)
    assert not plain[0].keys() & NAMES
    for event in events:
        assert event["status"] == "stored"
        if event not in plain:
            assert {name: event[name] for name in ANSWERED} == ANSWERED


def test_every_field_of_a_step_comes_back_from_every_read(gateway_url: str, stack_settings: Settings) -> None:
    trace_id = f"tr_{token_hex(8)}"
    for answer in published(gateway_url, stack_settings, trace_id):
        assert ({name: answer[name] for name in ANSWERED}, answer["status"]) == (ANSWERED, "stored")

    def read(path: str, headers: dict[str, str], **parameters: Any) -> Any:
        answer = httpx.get(gateway_url + path, headers=headers, params=parameters, timeout=60)
        assert (answer.status_code, "X-Axonstream-Stale" in answer.headers) == (200, False), answer.text
        return digits_kept(answer.content, PUBLISHED)

    must_be_whole(read(f"/traces/{trace_id}/events", HEADERS))
    must_be_whole(read(f"/traces/{trace_id}/summary", HEADERS)["events"])
    must_be_whole(read(f"/traces/{trace_id}", RECENT)["spans"])
    must_be_whole(read("/event/2/list", HEADERS, traceId=trace_id))
    must_be_whole(read("/events", RECENT, traceId=trace_id)["events"])
    with AxonPush("ak_local", "1", base_url=gateway_url) as client:
        found = [event for event in client.traces.get_events(trace_id) if event.model]
    names = {field.name: field.shown for field in RARE}
    assert [{name: getattr(event, shown) for name, shown in names.items()} for event in found] == [STEP] * PUBLISHED

    client = connect_blocking(stack_settings)
    try:
        client.database = stack_settings.clickhouse_database
        columns = ", ".join(STEP)
        where = "WHERE tenant_id = '1' AND trace_id = {trace:String} ORDER BY model"
        rows = client.query(f"SELECT {columns} FROM events {where}", parameters={"trace": trace_id}).result_rows
        lacking = [field.missing for field in RARE]
        assert [list(row) for row in rows] == [lacking, *[[STEP[field.name] for field in RARE]] * PUBLISHED]
        total = client.query(
            "SELECT sum(cost_usd), sum(output_tokens) FROM events WHERE trace_id = {trace:String}",
            parameters={"trace": trace_id},
        ).result_rows
        assert total == [(Decimal(COST) * PUBLISHED, 10**12 * PUBLISHED)]
    finally:
        client.close()
    result = asyncio.run(verify(stack_settings, deep=True))
    assert (result.clean, result.findings) == (True, [])


def test_a_live_stream_has_the_fields_of_a_step(gateway_url: str, stack_settings: Settings) -> None:
    trace_id = f"tr_{token_hex(8)}"
    with httpx.stream("GET", f"{gateway_url}/traces/{trace_id}/live", headers=HEADERS, timeout=60) as stream:
        lines = stream.iter_lines()
        published(gateway_url, stack_settings, trace_id)
        data = (line.removeprefix("data: ").encode() for line in lines if line.startswith("data: "))
        events = [next(data) for _ in range(PUBLISHED + 1)]
    must_be_whole(digits_kept(b"[%b]" % b",".join(events), PUBLISHED))
