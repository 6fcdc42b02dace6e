"""What cannot be stored goes to the topic dead-letters and to the table of that name.

The table keeps one row a record, so writing a dead letter again after a crash is harmless. The offset of the record
is committed only after both have acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import monotonic

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.clickhouse.insert_body import send_insert
from axonstream.contract.record_validation import MAX_RECORD_BYTES
from axonstream.contract.slices import slices
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.bad_event_rate import BadEventRate
from axonstream.sinks.dead_letters.dead_letter import DeadLetter
from axonstream.sinks.errors import DeadLettersError, TooManyBadEventsError
from axonstream.sinks.membership.ownership import Ownership
from axonstream.sinks.writing.table_writer import CLICKHOUSE_ERRORS

log = logging.getLogger(__name__)

RETRY_S = 0.5
SHOWN_REASONS = 3
SLICE_LETTERS = 500
SLICE_BYTES = 4 << 20
_INSERT = (
    "INSERT INTO dead_letters (topic, partition, offset, key, value, reason, tenant_id, trace_id, failed_at, "
    "_topic_epoch) FORMAT RowBinary"
)


class DeadLetters:
    """Both destinations. `put` goes on until both have acknowledged, or the ownership ends.

    A topic that does not acknowledge within the dead letter timeout ends the process: nothing is dropped, and nothing
    is committed past what waits. ClickHouse is waited for without limit, as it is with events.
    """

    def __init__(self, settings: Settings, client: AsyncClient, clock: Callable[[], float] = monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._rates: dict[str, BadEventRate] = {}
        self._client = client
        self._topic = Topics(settings.topic_prefix).dead_letters
        self._producer: AIOKafkaProducer | None = None

    async def put(self, letters: Sequence[DeadLetter], epoch: int, ownership: Ownership) -> None:
        """Raises RevokedError when the ownership ends before both have acknowledged.

        Raises TooManyBadEventsError before anything is put, and DeadLettersError.
        """
        if not letters:
            return
        self._check_rate(letters)
        for letter in letters:
            log.warning("dead letter %s %s@%s: %s", letter.topic, letter.partition, letter.offset, letter.reason)
        sizes = (len(letter.value or b"") for letter in letters)
        for few in slices(letters, sizes, SLICE_LETTERS, SLICE_BYTES):  # so few that each attempt fits its timeout
            give_up_at = self._clock() + self._settings.dead_letter_timeout_ms / 1000
            await self._until_done(ownership, partial(self._produce, few), give_up_at)
            await self._until_done(ownership, partial(self._insert, few, epoch), float("inf"))

    async def stop(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    def _check_rate(self, letters: Sequence[DeadLetter]) -> None:
        topic, most = letters[0].topic, self._settings.max_bad_events_per_minute
        rate = self._rates.setdefault(topic, BadEventRate(most))
        if not rate.admits(len(letters), self._clock()):
            examples = "; ".join(f"{x.partition}@{x.offset}: {x.reason[:200]}" for x in letters[:SHOWN_REASONS])
            raise TooManyBadEventsError(
                f"more than {most} records of {topic} in a minute are not what they should be, for example "
                f"{examples}. Nothing of this batch is committed. Stop the program that writes them; to set them aside "
                "as dead letters and go on, raise AXONSTREAM_MAX_BAD_EVENTS_PER_MINUTE and start the sink again"
            )

    async def _until_done(
        self, ownership: Ownership, attempt: Callable[[], Awaitable[None]], give_up_at: float
    ) -> None:
        while True:
            ownership.check()
            try:
                return await attempt()
            except (KafkaError, *CLICKHOUSE_ERRORS) as error:
                log.warning("dead letters are not acknowledged, trying again: %r", error)
                if self._clock() >= give_up_at:
                    raise DeadLettersError(
                        f"the topic {self._topic} has acknowledged no dead letter for "
                        f"{self._settings.dead_letter_timeout_ms / 1000:.0f} s ({error!r}). The records are not "
                        "dropped: the sink goes on from them when the topic is there. If it is missing, run "
                        f"`axonstream init`; max.message.bytes must be {4 * MAX_RECORD_BYTES} or more"
                    ) from error
            await ownership.pause(RETRY_S)

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
                sent = [await self._producer.send(self._topic, x.encoded(), key=x.record_key()) for x in letters]
                await asyncio.gather(*sent)
        except (KafkaError, TimeoutError):
            await self.stop()  # a batch that expired leaves a hole in the sequence numbers of its producer
            raise

    async def _insert(self, letters: Sequence[DeadLetter], epoch: int) -> None:
        async with asyncio.timeout(self._settings.insert_timeout_ms / 1000):
            await send_insert(self._client, _INSERT, [letter.row(epoch) for letter in letters], {"async_insert": 0})
