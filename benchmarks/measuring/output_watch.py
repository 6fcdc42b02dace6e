"""How fast a subject's output topic grows: the same clock for every subject, whatever its library tells of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer

from axonstream.contract.step_record import is_step_key
from axonstream.kafka.topics import WATERMARK_KEY
from benchmarks.measuring.filled_topic import ends_of, partitions_of
from benchmarks.measuring.subject_process import SubjectProcess

POLL_S = 0.05
DEADLINE_S = 300.0


@dataclass(frozen=True, slots=True)
class Growth:
    """From the first look at which there was output to the last at which it had grown: seconds, and the subject's CPU.

    `records` are all of the output; `share` of them came in between.
    """

    records: int
    share: float
    seconds: float
    cpu_s: float


class OutputWatch:
    """Looks at one output topic."""

    def __init__(self, consumer: AIOKafkaConsumer, output: str) -> None:
        self._consumer = consumer
        self._output = output

    async def until(self, subject: SubjectProcess, finished: Callable[[int], Awaitable[bool]]) -> Growth:
        """Watch until `finished(records)`. Raises RuntimeError when the subject ends, TimeoutError when it hangs."""
        first: tuple[float, float, int] | None = None
        last = (0.0, 0.0)
        records = 0
        async with asyncio.timeout(DEADLINE_S):
            while True:
                found = sum((await ends_of(self._consumer, self._output)).values())
                if found > records:
                    records = found
                    last = (monotonic(), subject.cpu_s())
                    first = first or (*last, found)
                if first and await finished(records):
                    share = (records - first[2]) / records
                    return Growth(records, share, last[0] - first[0], last[1] - first[1])
                if not subject.running():
                    raise RuntimeError("the subject ended before its work was done")
                await asyncio.sleep(POLL_S)

    async def folded(self) -> dict[int, int]:
        """Partition -> the watermark that is its last record; 0 where there is none."""
        ends = await ends_of(self._consumer, self._output)
        folded = dict.fromkeys(ends, 0)
        for tp in partitions_of(self._output):
            if ends[tp.partition]:
                self._consumer.seek(tp, ends[tp.partition] - 1)
        for tp in partitions_of(self._output):
            if ends[tp.partition]:
                record: Any = await self._consumer.getone(tp)
                if record.key == WATERMARK_KEY:
                    folded[tp.partition] = orjson.loads(record.value)["folded"]
        return folded

    async def counts(self) -> dict[bytes, int]:
        """Trace -> the event count of its latest summary, from the whole topic."""
        counts: dict[bytes, int] = {}
        left = {tp: end for tp, end in (await self._consumer.end_offsets(partitions_of(self._output))).items() if end}
        for tp in partitions_of(self._output):
            self._consumer.seek(tp, 0)
        while left:
            for tp, records in (await self._consumer.getmany(timeout_ms=1000)).items():
                for record in records:
                    if record.key != WATERMARK_KEY and not is_step_key(record.key):
                        counts[record.key or b""] = orjson.loads(record.value or b"")["event_count"]
                if records and records[-1].offset + 1 >= left.get(tp, 1 << 62):
                    del left[tp]
        return counts


async def watching(kafka: str, output: str) -> tuple[AIOKafkaConsumer, OutputWatch]:
    """A watch of one topic; stop the consumer at the end."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, fetch_max_wait_ms=50)
    await consumer.start()
    consumer.assign(partitions_of(output))
    for tp in partitions_of(output):
        await consumer.position(tp)  # a seek before the first position is known would be overruled by it
    return consumer, OutputWatch(consumer, output)
