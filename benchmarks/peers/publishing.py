"""Ways to put events on Kafka, each idempotent with acks=all, `at_once` events in a call that waits for all of them.

publish_many   KafkaPublisher.publish_many: validates and encodes
event log      what KafkaPublisher does with records that are encoded: axonstream.producers.event_log
send           aiokafka's send() for each record
send_batch     aiokafka's send_batch(), a batch a partition, partitioned by murmur2
produce        confluent-kafka's produce() for each record
With " of events" added, a way starts from the same plain dicts as publish_many, validates and encodes them.
Prints "ready", and at the end its seconds and its CPU seconds as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from axonstream.contract.event_record import EventRecord, encode_event
from axonstream.event_contract import EventInput
from benchmarks.measuring.sample_events import NOW_MS, TRACES, event_fields, sample_record, trace_id
from benchmarks.peers.job import OUTPUT_BATCH_BYTES, PublishJob, say, set_gc, told

Publish = Callable[[Sequence[Any]], Awaitable[object]]


def encoded(fields: dict[str, Any], number: int) -> EventRecord:
    event = EventInput.model_validate(fields)
    return encode_event(event, tenant_id="1", trace_id=event.trace_id or "", fresh_id=number, now_ms=NOW_MS)


@asynccontextmanager
async def aiokafka_producer(job: PublishJob) -> AsyncGenerator[Any]:
    from aiokafka import AIOKafkaProducer

    async with AIOKafkaProducer(
        bootstrap_servers=job.kafka,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_batch_size=OUTPUT_BATCH_BYTES,
    ) as producer:
        yield producer


@asynccontextmanager
async def publish_many(job: PublishJob) -> AsyncGenerator[Publish]:
    from axonstream.producers.kafka_publisher import KafkaPublisher

    async with KafkaPublisher(bootstrap_servers=job.kafka, tenant_id="1", topic=job.topic) as publisher:

        async def publish(events: Sequence[dict[str, Any]]) -> None:
            await publisher.publish_many(events)

        yield publish


@asynccontextmanager
async def event_log(job: PublishJob) -> AsyncGenerator[Publish]:
    from axonstream.producers.event_log import EventLog

    log = EventLog(topic=job.topic, timeout_ms=30_000, kafka={"bootstrap_servers": job.kafka})
    await log.start()
    yield log.append
    await log.stop()


@asynccontextmanager
async def send(job: PublishJob) -> AsyncGenerator[Publish]:
    async with aiokafka_producer(job) as producer:

        async def publish(records: Sequence[EventRecord]) -> None:
            sent = [await producer.send(job.topic, r.value, key=r.trace_id.encode()) for r in records]
            await asyncio.gather(*sent)

        yield publish


@asynccontextmanager
async def send_batch(job: PublishJob) -> AsyncGenerator[Publish]:
    from aiokafka.partitioner import DefaultPartitioner

    async with aiokafka_producer(job) as producer:
        partition_of = DefaultPartitioner()
        partitions = sorted(await producer.partitions_for(job.topic))

        async def publish(records: Sequence[EventRecord]) -> None:
            grouped: defaultdict[int, list[EventRecord]] = defaultdict(list)
            for record in records:
                grouped[partition_of(record.trace_id.encode(), partitions, partitions)].append(record)
            sent: list[Any] = []
            for partition, group in grouped.items():
                batch = producer.create_batch()
                for record in group:
                    if batch.append(key=record.trace_id.encode(), value=record.value, timestamp=None) is None:
                        raise RuntimeError("a call of this benchmark fits into one batch a partition")
                sent.append(await producer.send_batch(batch, job.topic, partition=partition))
            await asyncio.gather(*sent)

        yield publish


@asynccontextmanager
async def produce(job: PublishJob) -> AsyncGenerator[Publish]:
    confluent: Any = import_module("confluent_kafka")  # not in the environment that the types are checked in
    producer = confluent.Producer(
        {
            "bootstrap.servers": job.kafka,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 0,
            "batch.size": OUTPUT_BATCH_BYTES,
            "partitioner": "murmur2_random",
        }
    )
    refused: list[Any] = []

    def on_delivery(error: Any, _: Any) -> None:
        if error is not None:
            refused.append(error)

    async def publish(records: Sequence[EventRecord]) -> None:
        for record in records:
            producer.produce(job.topic, record.value, record.trace_id.encode(), on_delivery=on_delivery)
        producer.flush()
        if refused:
            raise RuntimeError(refused[0])

    yield publish


WAYS = {
    "publish_many": publish_many,
    "event log": event_log,
    "send": send,
    "send_batch": send_batch,
    "produce": produce,
}


async def run(job: PublishJob) -> None:
    set_gc()
    chance = random.Random(1)
    traces = [trace_id(chance.randrange(TRACES)) for _ in range(job.count)]
    way, of_events, _ = job.way.partition(" of events")
    from_events = bool(of_events) or way == "publish_many"
    work: list[Any] = (
        [event_fields(number, trace) for number, trace in enumerate(traces)]
        if from_events
        else [sample_record(number, trace, NOW_MS) for number, trace in enumerate(traces)]
    )
    async with WAYS[way](job) as publish:
        say("ready")
        started, cpu = time.monotonic(), time.process_time()
        for start in range(0, job.count, job.at_once):
            some = work[start : start + job.at_once]
            await publish([encoded(fields, start) for fields in some] if of_events else some)
        say(json.dumps({"seconds": time.monotonic() - started, "cpu_s": time.process_time() - cpu}))


if __name__ == "__main__":
    asyncio.run(run(told(PublishJob)))
