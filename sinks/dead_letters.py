"""What cannot be stored goes to the topic dead-letters and to the table of that name.

The table keeps one row a record, so writing a dead letter again after a crash is harmless. The offset of the record
is committed only after both have acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.asyncclient import AsyncClient

from producers.kafka_client import kafka_options
from producers.settings import Settings
from producers.topics import Topics
from producers.verdict import MAX_RECORD_BYTES
from sinks.dead_letter import DeadLetter
from sinks.table_writer import CLICKHOUSE_ERRORS
from sinks.tenure import Tenure

log = logging.getLogger(__name__)

RETRY_S = 0.5
SLICE_LETTERS = 500
SLICE_BYTES = 4 << 20
_COLUMNS = {
    "topic": "LowCardinality(String)",
    "partition": "UInt32",
    "offset": "Int64",
    "key": "String",
    "value": "String",
    "reason": "String",
    "tenant_id": "String",
    "trace_id": "String",
    "failed_at": "DateTime64(3, 'UTC')",
    "_topic_epoch": "UInt32",
}


class DeadLetters:
    """Both destinations. `put` goes on until both have acknowledged, or the tenure ends."""

    def __init__(self, settings: Settings, client: AsyncClient) -> None:
        self._settings = settings
        self._client = client
        self._topic = Topics(settings.topic_prefix).dead_letters
        self._producer: AIOKafkaProducer | None = None

    async def put(self, letters: Sequence[DeadLetter], epoch: int, tenure: Tenure) -> None:
        """Raises RevokedError when the tenure ends before both have acknowledged."""
        if not letters:
            return
        for letter in letters:
            log.warning("dead letter %s %s@%s: %s", letter.topic, letter.partition, letter.offset, letter.reason)
        for few in _slices(letters):  # so many that each attempt fits its timeout
            await self._until_done(tenure, partial(self._produce, few))
            await self._until_done(tenure, partial(self._insert, few, epoch))

    async def stop(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    async def _until_done(self, tenure: Tenure, attempt: Callable[[], Awaitable[None]]) -> None:
        while True:
            tenure.check()
            try:
                return await attempt()
            except (KafkaError, *CLICKHOUSE_ERRORS) as error:
                log.warning("dead letters are not acknowledged, trying again: %r", error)
            await tenure.pause(RETRY_S)

    async def _produce(self, letters: Sequence[DeadLetter]) -> None:
        timeout_ms = self._settings.insert_timeout_ms
        try:
            async with asyncio.timeout(2 * timeout_ms / 1000):
                if self._producer is None:
                    self._producer = AIOKafkaProducer(
                        **kafka_options(self._settings),
                        acks="all",
                        enable_idempotence=True,
                        max_request_size=4 * MAX_RECORD_BYTES,
                        request_timeout_ms=timeout_ms,
                    )
                    await self._producer.start()
                sent = [await self._producer.send(self._topic, x.encoded(), key=x.key) for x in letters]
                await asyncio.gather(*sent)
        except (KafkaError, TimeoutError):
            await self.stop()  # a batch that expired leaves a hole in the sequence numbers of its producer
            raise

    async def _insert(self, letters: Sequence[DeadLetter], epoch: int) -> None:
        rows: list[list[Any]] = [
            [x.topic, x.partition, x.offset, x.key or b"", x.value or b"", x.reason, *x.trace(), x.failed_at, epoch]
            for x in letters
        ]
        async with asyncio.timeout(self._settings.insert_timeout_ms / 1000):
            await self._client.insert(
                "dead_letters",
                rows,
                column_names=list(_COLUMNS),
                column_type_names=[*_COLUMNS.values()],
                settings={"async_insert": 0},
            )


def _slices(letters: Sequence[DeadLetter]) -> Iterator[list[DeadLetter]]:
    few: list[DeadLetter] = []
    size = 0
    for letter in letters:
        few.append(letter)
        size += len(letter.value or b"")
        if len(few) == SLICE_LETTERS or size >= SLICE_BYTES:
            yield few
            few, size = [], 0
    if few:
        yield few
