"""What anybody may put on the events topic: good events are stored, everything else is a dead letter with its bytes.

The real processor and the real sink read it; neither may stop, and no summary may differ from its events.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import RecordMetadata

from axonstream.contract.event_record import encode_event
from axonstream.contract.record_validation import ValidationFailure, validate_record
from axonstream.event_contract import MAX_TIME_MS, EventInput
from axonstream.kafka.client import kafka_options
from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.dead_letter import QUOTED_BYTES
from kit.oracle import judge
from kit.processor_process import processor
from kit.sink_process import Pipeline, pipeline, sink
from kit.soak_report import SoakReport

pytestmark = pytest.mark.services

NOW_MS = 1_790_000_000_000
TEN_YEARS_MS = 315_576_000_000
TRACE = "tr_1"
LARGE_BYTES = 7 << 20  # as base64 it is more than the topic dead-letters takes


def event(dedup_key: str, trace_id: str = TRACE, **fields: Any) -> dict[str, Any]:
    """A good record's members."""
    sent = EventInput(identifier="step", payload={}, channel_id=1, dedup_key=dedup_key, event_type="agent.error")
    record = encode_event(sent, tenant_id="1", trace_id=trace_id, fresh_id=1, now_ms=NOW_MS)
    return orjson.loads(record.value) | fields


@dataclass(frozen=True)
class Bad:
    """A record that is no event, and a part of the reason that the dead letter must give."""

    name: str
    key: bytes | None
    value: bytes | None
    reason: str
    kafka_ms: int | None = None


def bad(name: str, reason: str, **fields: Any) -> Bad:
    return Bad(name, TRACE.encode(), json.dumps(event(name) | fields).encode(), reason)


def bad_records() -> Iterator[Bad]:
    key, good = TRACE.encode(), json.dumps(event("bad")).encode()
    yield Bad("broken JSON", key, good[:-1], "not one JSON value")
    yield Bad("two objects in one message", key, good + good, "not one JSON value")
    yield Bad("two objects, a line each", key, good + b"\n" + good, "not one JSON value")
    yield Bad("empty", key, b"", "not one JSON value")
    yield Bad("a list", key, b"[%b]" % good, "not a JSON object")
    yield Bad("a tombstone", key, None, "has no value")
    yield Bad("a tombstone without a key", None, None, "has no value")
    yield Bad("null key", None, good, "key is not its trace_id")
    yield Bad("an empty key", b"", good, "key is not its trace_id")
    yield Bad("a key of another trace", b"tr_2", good, "key is not its trace_id")
    yield Bad("a key that is no UTF-8", b"\xff\xfe", good, "key is not its trace_id")
    yield Bad("invalid UTF-8", key, good.replace(b'"step"', b'"st\xff"'), "not one JSON value in UTF-8")
    yield Bad("a lone surrogate", key, good.replace(b'"step"', b'"\\ud800"'), "not one JSON value")
    yield Bad("a byte order mark", key, b"\xef\xbb\xbf" + good, "not one JSON value")
    yield Bad("NaN", key, good.replace(b'"payload": {}', b'"payload": {"x": NaN}'), "not one JSON value")
    yield Bad("7 MB", key, good.replace(b'"step"', b'"%b"' % (b"x" * LARGE_BYTES)), "larger than")
    yield Bad("a name of 2 MB", key, b'{"v":1,"%b":1}' % ("\U000e0001" * 524_000).encode(), "unknown field")
    yield Bad("depth 10,000", key, good.replace(b"{}", b'{"x":' * 10_000 + b"1" + b"}" * 10_000), "depth limit")
    yield Bad("depth 102", key, good.replace(b"{}", b'{"x":' * 101 + b"1" + b"}" * 101), "nested deeper than 100")
    yield Bad("a repeated key", key, good.replace(b'"step"', b'"step", "identifier": "other"'), "a key is repeated")
    yield Bad("a repeated key in the payload", key, good.replace(b"{}", b'{"a":1,"a":2}'), "a key is repeated")
    yield bad("an unknown schema version", "schema version", v=2)
    yield bad("a forged _offset", "unknown field", _offset=0)
    yield bad("a forged _partition", "unknown field", _partition=0)
    yield bad("a forged _topic_epoch", "unknown field", _topic_epoch=9)
    yield bad("a NUL in the tenant", "holds a NUL", tenant_id="1\x00tr_2")
    yield bad("before 1970", "occurred_at", occurred_at=-1)
    yield bad("received before 1970", "received_at", received_at=-TEN_YEARS_MS)
    yield bad("after 2200", "occurred_at", occurred_at=MAX_TIME_MS + 1)
    for name in ("channel_id", "event_id", "occurred_at", "received_at"):
        for number in (2**63, 2**64 + 1, 2**70, -(2**63), 1.0, True, "1", None):
            yield bad(f"{name} {number!r}", name, **{name: number})
    for name, wrong in (("payload", []), ("metadata", "x"), ("identifier", 1), ("event_type", "Bad"), ("source", None)):
        yield bad(f"{name} {wrong!r}", name, **{name: wrong})
    # Its time on Kafka is the sender's, too: a dead letter of 1970 must not expire as it is written.
    yield Bad("a clock of 1970", key, b"{", "not one JSON value", kafka_ms=1)


def odd_events() -> Iterator[dict[str, Any]]:
    """Events that are good although a clock is wrong or a number large."""
    for name, ms in (
        ("past", NOW_MS - TEN_YEARS_MS),
        ("future", NOW_MS + TEN_YEARS_MS),
        ("1970", 0),
        ("2200", MAX_TIME_MS),
    ):
        yield event(f"occurred {name}", "tr_clocks", occurred_at=ms)
        yield event(f"received {name}", "tr_clocks", received_at=ms)
    yield event("largest", "tr_odd", channel_id=2**63 - 1, payload={"big": 2**63, "deep": [[[1.0]]]})
    yield event("\u202e\x1b[2J", "tr_odd", event_id=2)


async def take_large_records(settings: Settings, topic: str) -> None:
    """Whoever runs the cluster may have allowed them."""
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    await admin.start()
    try:
        limit = {"max.message.bytes": str(2 * LARGE_BYTES)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, limit)])
    finally:
        await admin.close()


async def put(producer: AIOKafkaProducer, topic: str, record: Bad) -> int:
    """On partition 0; the offset. As a batch, because aiokafka sends no single record without both key and value."""
    batch = producer.create_batch()
    batch.append(key=record.key, value=record.value, timestamp=record.kafka_ms)
    acknowledged: RecordMetadata = await (await producer.send_batch(batch, topic, partition=0))
    return acknowledged.offset


async def publish_good(pipe: Pipeline, producer: AIOKafkaProducer, numbers: range) -> list[str]:
    """Many traces, acknowledged; their dedup keys."""
    keys = [f"good {number}" for number in numbers]
    sent = [
        await producer.send(pipe.topics.events, orjson.dumps(event(key, f"tr_{at % 7}")), key=b"tr_%d" % (at % 7))
        for at, key in enumerate(keys)
    ]
    await asyncio.gather(*sent)
    return keys


def test_bad_events_are_dead_letters_with_their_bytes_and_good_ones_are_stored(
    server_settings: Settings, soak: bool, soak_report: SoakReport
) -> None:
    settings = server_settings.model_copy(update={"max_bad_events_per_minute": 1_000_000})
    records = list(bad_records())
    flood = 100_000 if soak else 1000
    started = monotonic()

    async def story() -> None:
        async with (
            pipeline(settings) as pipe,
            AIOKafkaProducer(
                **kafka_options(settings), acks="all", max_request_size=2 * LARGE_BYTES, linger_ms=5
            ) as producer,
        ):
            topic = pipe.topics.events
            await take_large_records(settings, topic)
            with processor(settings) as folding, sink(settings) as storing:
                acknowledged = await publish_good(pipe, producer, range(200))
                places: dict[tuple[int, int], Bad] = {}
                for record in records:
                    places[0, await put(producer, topic, record)] = record
                for odd in odd_events():
                    await producer.send_and_wait(topic, orjson.dumps(odd), key=odd["trace_id"].encode())
                    acknowledged.append(odd["dedup_key"])
                floods = [
                    await producer.send(topic, b"flood %d" % number, key=TRACE.encode()) for number in range(flood)
                ]
                acknowledged += await publish_good(pipe, producer, range(200, 400))
                await asyncio.gather(*floods)
                acknowledged += await publish_good(pipe, producer, range(400, 600))

                judgement = await judge(settings, acknowledged=acknowledged)
                judgement.must_be_clean()
                assert judgement.dead_letters == len(records) + flood
                assert (folding.poll(), storing.poll()) == (None, None), "a part died"

                await pipe.client.command("OPTIMIZE TABLE dead_letters FINAL")
                await pipe.client.command("OPTIMIZE TABLE events_log FINAL")
                await check_letters(pipe, places)
                await check_odd_events(pipe)
                assert await pipe.query("SELECT count() FROM dead_letters FINAL WHERE startsWith(value, 'flood ')") == [
                    (flood,)
                ]
            soak_report.add(judgement.row("bad events on the topic", len(places) + flood, monotonic() - started))

    asyncio.run(story())


async def check_letters(pipe: Pipeline, places: dict[tuple[int, int], Bad]) -> None:
    found = await pipe.client.query(
        "SELECT partition, offset, topic, key, value, reason FROM dead_letters FINAL "
        "WHERE NOT startsWith(value, 'flood ')",
        column_formats={"key": "bytes", "value": "bytes"},
    )
    assert {row[:2] for row in found.result_rows} == places.keys()
    for partition, offset, topic, key, value, reason in found.result_rows:
        record = places[partition, offset]
        assert (topic, key, value) == (pipe.topics.events, record.key or b"", record.value or b""), record.name
        assert record.reason in reason, record.name
    # The topic has them as well; of the largest, it says how large it is.
    letters: list[dict[str, Any]] = []
    async with AIOKafkaConsumer(
        pipe.topics.dead_letters, **kafka_options(pipe.settings), auto_offset_reset="earliest"
    ) as consumer:
        while not {(letter["partition"], letter["offset"]) for letter in letters} >= places.keys():
            letters.append(orjson.loads((await consumer.getone()).value or b""))
    quoted = {(letter["partition"], letter["offset"]): letter for letter in letters}
    for place, record in places.items():
        if len(record.value or b"") > QUOTED_BYTES:
            assert quoted[place]["value_omitted_bytes"] == len(record.value or b"")
        else:
            assert b64decode(quoted[place]["value_b64"] or b"") == (record.value or b""), record.name


async def check_odd_events(pipe: Pipeline) -> None:
    rows = await pipe.query(
        "SELECT dedup_key, toUnixTimestamp64Milli(occurred_at), abs(received_at - now()) < 3600, channel_id "
        "FROM events WHERE trace_id IN ('tr_clocks', 'tr_odd')"
    )
    expected = {(e["dedup_key"], e["occurred_at"], 1, e["channel_id"]) for e in odd_events()}
    assert {tuple(row) for row in rows} == expected


def test_every_bad_record_of_this_file_is_refused_and_every_odd_one_is_not() -> None:
    for record in bad_records():
        judged = validate_record(record.key, record.value)
        assert isinstance(judged, ValidationFailure), record.name
        assert record.reason in judged.reason, record.name
    for odd in odd_events():
        assert not isinstance(validate_record(odd["trace_id"].encode(), orjson.dumps(odd)), ValidationFailure)
