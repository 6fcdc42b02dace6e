"""From the start of a processor until it is ready, on a changelog of 30 days.

With the topic configs of this version, and with those of the version before.

A month of churn is written: each day so many traces begin, get 10 states each, and leave by a tombstone; those of the
last hours are alive. Then the log cleaner has its time, and a processor is started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import monotonic

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from axonstream.kafka.topic_configs import change_configs
from axonstream.kafka.topics import state_key
from axonstream.stream_processors.fold import fold_records
from axonstream.stream_processors.trace_state import FENCE_HEADER
from axonstream.stream_processors.trace_states import TraceStates
from benchmarks.measuring.filled_topic import Partitioner, partitions_of
from benchmarks.measuring.installation import PARTITIONS, Installation
from benchmarks.measuring.plan import read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.sample_events import NOW_MS, sample_record, trace_id
from benchmarks.measuring.servers import servers

DAYS, STATES = 30, 10
CLEANED_S = 90.0  # the cleaner looks every 15 s
BEFORE = {"segment.bytes": str(1 << 30), "min.cleanable.dirty.ratio": "0.5", "delete.retention.ms": "86400000"}
OURS, EARLIER = "this version's configs", "the configs of before"
Change = tuple[int, bytes, bytes | None]  # partition, key, value


def churn(traces_a_day: int, live: int) -> Iterator[Change]:
    """The changelog of a month, in its order; the last `live` traces get no tombstone."""
    partitions = Partitioner()
    record = sample_record(0, trace_id(0), NOW_MS)
    states = TraceStates()
    [folded] = fold_records([_Record(0, b"", record.value, NOW_MS, trace_id(0))], states).changelog
    packed = folded[1]
    total = DAYS * traces_a_day
    for number in range(total):
        name = trace_id(number)
        partition, key = partitions.of(name), state_key("1", name)
        for _ in range(STATES):
            yield partition, key, packed
        if number < total - live:
            yield partition, key, None


class _Record:
    def __init__(self, offset: int, key: bytes, value: bytes, timestamp: int, trace: str) -> None:
        self.offset, self.value, self.timestamp = offset, value, timestamp
        self.key = key or trace.encode()


async def fill(kafka: str, topic: str, changes: Iterator[Change]) -> int:
    """Append all; returns the bytes of keys and values."""
    written = 0
    async with AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True, max_batch_size=512 << 10
    ) as producer:
        batches = {partition: producer.create_batch() for partition in range(PARTITIONS)}
        for partition, key, value in changes:
            written += len(key) + len(value or b"")
            headers = () if value else ((FENCE_HEADER, b"0"),)
            if batches[partition].append(key=key, value=value, timestamp=None, headers=headers) is None:
                await (await producer.send_batch(batches[partition], topic, partition=partition))
                batches[partition] = producer.create_batch()
                batches[partition].append(key=key, value=value, timestamp=None, headers=headers)
        for partition, batch in batches.items():
            if batch.record_count():
                await (await producer.send_batch(batch, topic, partition=partition))
    return written


async def records_left(kafka: str, topic: str) -> int:
    """What a recovery has to read, once the cleaner has had its time and found nothing more."""
    deadline, before = monotonic() + CLEANED_S, -1
    while True:
        left = 0
        async with AIOKafkaConsumer(bootstrap_servers=kafka, fetch_max_wait_ms=50) as consumer:
            partitions = partitions_of(topic)
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            await consumer.seek_to_beginning(*partitions)
            behind = {tp for tp in partitions if ends[tp]}
            while behind:
                for records in (await consumer.getmany(*behind, timeout_ms=200)).values():
                    left += len(records)
                behind = {tp for tp in behind if await consumer.position(tp) < ends[tp]}
        if left == before or monotonic() > deadline:
            return left
        before = left
        await asyncio.sleep(20)


async def set_configs(kafka: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    try:
        await admin.start()
        await change_configs(admin, topic, BEFORE)
    finally:
        await admin.close()


def main() -> None:
    plan = read_plan(__doc__)
    a_day, live = plan.size(20_000, 500), plan.size(50_000, 1000)
    configuration = {"days": DAYS, "traces a day": a_day, "live traces": live, "partitions": PARTITIONS}
    results = Results("old_changelog", "restart on a changelog of 30 days", plan, configuration)
    with servers() as at:
        for subject in (OURS, EARLIER):
            installation = Installation(at)
            installation.initialise()
            if subject == EARLIER:
                asyncio.run(set_configs(at.kafka, installation.topics.changelog))
            written = asyncio.run(fill(at.kafka, installation.topics.changelog, churn(a_day, live)))
            left = asyncio.run(records_left(at.kafka, installation.topics.changelog))
            for _ in range(plan.rounds):
                results.add(
                    subject,
                    {
                        "ready after s": installation.processor_ready_s(),
                        "records read": left,
                        "MB written": written / 1e6,
                    },
                )
    results.write()


if __name__ == "__main__":
    main()
