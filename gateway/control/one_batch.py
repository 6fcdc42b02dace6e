"""Records in batches of Kafka's log: what is in one batch is appended as a whole or not at all, also over a crash.

A batch is one unit of the log: the broker checks its CRC, replicates and returns it whole, and cuts off a torn one when
it starts again (https://kafka.apache.org/documentation/#recordbatch).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

BATCH_BYTES = 512 << 10  # below the message.max.bytes that a broker has unless it is told otherwise

Pair = tuple[bytes, bytes | None]


async def append_in_batches(producer: AIOKafkaProducer, topic: str, pairs: Sequence[Pair]) -> int:
    """Append to partition 0, each batch after the one before was acknowledged; the offset of the last record.

    More than BATCH_BYTES take several batches, so what must not be missing stands first. Raises KafkaError.
    """
    left = list(pairs)
    last = -1
    while left:
        batch: Any = producer.create_batch()
        count = 0
        for key, value in left:  # the first always fits: the broker judges a record that is larger than a batch
            if batch.append(key=key, value=value, timestamp=None) is None:
                break
            count += 1
        batch.close()  # `send` adds nothing to it
        acknowledged: Any = await (await producer.send_batch(batch, topic, partition=0))
        last = acknowledged.offset + count - 1
        del left[:count]
    return last
