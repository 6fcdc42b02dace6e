"""aiokafka alone: getmany, msgspec's decoder, the product's fold, and the same records to changelog and summaries.

No validation, no fence, no lease, and no care of rebalances: what the product adds to this loop is what its guarantees
cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from axonstream.contract.event import decode_event
from axonstream.kafka.record_identity import CommitNote
from axonstream.kafka.topics import state_key
from axonstream.stream_processors.fold import fold_event, new_state
from axonstream.stream_processors.snapshots import summary_record, watermark_record
from axonstream.stream_processors.trace_state import TraceState, changelog_records
from benchmarks.peers.job import FETCH_BYTES, FETCH_MAX_BYTES, OUTPUT_BATCH_BYTES, StreamJob, say, set_gc, told

COMMIT_S = 1.0


def fold(records: Sequence[ConsumerRecord[bytes, bytes]], states: dict[bytes, TraceState]) -> dict[bytes, TraceState]:
    touched: dict[bytes, TraceState] = {}
    for record in records:
        event = decode_event(record.value or b"")
        key = state_key(event.tenant_id, event.trace_id)
        state = states.get(key)
        if state is None:
            state = states[key] = new_state(event, record.offset)
        fold_event(state, event, record.offset)
        touched[key] = state
    return touched


async def send(producer: AIOKafkaProducer, tp: TopicPartition, records: Iterable[tuple[bytes, bytes]]) -> list[Any]:
    sent: list[Any] = []
    batch = producer.create_batch()
    for key, value in records:
        if batch.append(key=key, value=value, timestamp=None) is None:
            sent.append(await producer.send_batch(batch, tp.topic, partition=tp.partition))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    sent.append(await producer.send_batch(batch, tp.topic, partition=tp.partition))
    return sent


async def run(job: StreamJob) -> None:
    set_gc()
    consumer = AIOKafkaConsumer(
        job.events,
        bootstrap_servers=job.kafka,
        group_id=job.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_bytes=FETCH_MAX_BYTES,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=job.kafka,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_batch_size=OUTPUT_BATCH_BYTES,
    )
    await consumer.start()
    await producer.start()
    states: dict[bytes, TraceState] = {}
    sent: list[Any] = []
    committed_at = monotonic()
    say("ready")
    while True:
        for tp, records in (await consumer.getmany(timeout_ms=200)).items():
            touched = fold(records, states)
            changelog = [pair for key, state in touched.items() for pair in changelog_records(key, state)]
            sent += await send(producer, TopicPartition(job.changelog, tp.partition), changelog)
            summaries = [summary_record(key, state) for key, state in touched.items()]
            output = [*summaries, watermark_record(CommitNote(folded=records[-1].offset + 1))]
            sent += await send(producer, TopicPartition(job.output, tp.partition), output)
        if sent and monotonic() - committed_at > COMMIT_S:
            await asyncio.gather(*sent)
            sent.clear()
            await consumer.commit()
            committed_at = monotonic()


if __name__ == "__main__":
    asyncio.run(run(told(StreamJob)))
