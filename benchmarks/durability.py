"""What it costs to have everything on the disk before it is acknowledged: Kafka's flush, and fsync of each INSERT.

Both installations are on the same servers, and take turns: `flush.messages` is a setting of topics and
`fsync_after_insert` one of tables.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from statistics import median, quantiles
from time import perf_counter

from aiokafka import AIOKafkaProducer

from axonstream.clickhouse.client import connect
from axonstream.contract.event_record import encode_event
from axonstream.deploy.init import initialise
from axonstream.event_contract import EventInput
from axonstream.kafka.client import kafka_options
from axonstream.kafka.slim_records import SlimRecord
from axonstream.kafka.topics import Topics, event_key
from axonstream.settings.settings import Settings
from axonstream.sinks.events.event_batch import EventBatch
from axonstream.sinks.events.event_store import COLUMNS, TABLE
from axonstream.sinks.writing.table_writer import TableWriter
from benchmarks.measuring.installation import Installation
from benchmarks.measuring.plan import read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.servers import Servers, servers

NOW_MS = 1_900_000_000_000
AT_ONCE = 1000
ROWS = 2000  # of a large INSERT
PLAIN, ON_DISK = "left to the system", "on the disk when acknowledged"


def record(number: int) -> SlimRecord:
    payload = {"model": "large", "input_tokens": 1200, "text": "x" * 200}
    event = EventInput(identifier="web_search", payload=payload, channel_id=1, agent_id="researcher")
    trace = f"tr_{number % 500:016x}"
    encoded = encode_event(event, tenant_id="1", trace_id=trace, fresh_id=number, now_ms=NOW_MS + number)
    return SlimRecord("agent-events", 0, number, NOW_MS + number, event_key(trace), encoded.value)


async def published(settings: Settings, one_by_one: int, at_once: int) -> dict[str, float]:
    """Acknowledged one after the other, and AT_ONCE at a time."""
    topic = Topics(settings.topic_prefix).events
    async with AIOKafkaProducer(**kafka_options(settings), acks="all", enable_idempotence=True) as producer:

        async def send(number: int) -> None:
            one = record(number)
            await producer.send_and_wait(topic, one.value or b"", key=one.key)

        await send(0)
        took = [await seconds(lambda number=number: send(number)) for number in range(one_by_one)]
        started = perf_counter()
        for at in range(0, at_once, AT_ONCE):
            await asyncio.gather(*(send(number) for number in range(at, at + AT_ONCE)))
        rate = at_once / (perf_counter() - started)
    return {**figures("publish of one", took), "publish by 1,000, events/s": rate}


async def inserted(settings: Settings, times: int) -> dict[str, float]:
    """INSERTs of one row and of ROWS, as the sink makes them."""
    client = await connect(settings)
    try:
        writer = TableWriter(client, settings)

        async def insert(first: int, rows: int) -> None:
            batch = EventBatch(1)
            batch.add([record(number) for number in range(first, first + rows)])
            await writer.insert(TABLE, COLUMNS, [row.line for row in batch.rows], [0])

        await insert(0, 1)
        small = [await seconds(lambda number=number: insert(number, 1)) for number in range(times)]
        large = [await seconds(lambda number=number: insert(number * ROWS, ROWS)) for number in range(times)]
        return {**figures("INSERT of one row", small), **figures("INSERT of 2,000 rows", large)}
    finally:
        await client.command(f"DROP DATABASE {settings.clickhouse_database}")
        await client.close()


async def seconds(work: Callable[[], Awaitable[None]]) -> float:
    started = perf_counter()
    await work()
    return perf_counter() - started


def figures(what: str, took: list[float]) -> dict[str, float]:
    return {f"{what}, p50 ms": median(took) * 1000, f"{what}, p95 ms": quantiles(took, n=20)[-1] * 1000}


async def turn(at: Servers, *, on_disk: bool, one_by_one: int, at_once: int, inserts: int) -> dict[str, float]:
    settings = Installation(at).settings.model_copy(
        update={"kafka_flush_messages": int(on_disk), "fsync_after_insert": on_disk}
    )
    await initialise(settings)
    return {**await published(settings, one_by_one, at_once), **await inserted(settings, inserts)}


def main() -> None:
    plan = read_plan(__doc__)
    sizes = {"one_by_one": plan.size(300, 30), "at_once": plan.size(20_000, 2000), "inserts": plan.size(60, 10)}
    with servers() as at:
        results = Results("durability", "everything on the disk before it is acknowledged", plan, sizes)
        for _ in range(plan.rounds):
            for subject, on_disk in ((PLAIN, False), (ON_DISK, True)):
                results.add(subject, asyncio.run(turn(at, on_disk=on_disk, **sizes)))
    results.write()


if __name__ == "__main__":
    main()
