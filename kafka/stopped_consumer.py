"""A consumer stops in bounded time, and without ending who stops it."""

from __future__ import annotations

import asyncio
import logging

from aiokafka import AIOKafkaConsumer

log = logging.getLogger(__name__)

STOP_S = 5.0


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """In a task of its own: aiokafka 0.14 awaits tasks that it has cancelled, such as a fetch that waits for a broker.

    Their CancelledError would come out of `stop`, and end the task that follows a topic without a word.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait([stopping], timeout=STOP_S)
    if not stopping.done():
        stopping.cancel()
    elif not stopping.cancelled() and (error := stopping.exception()):
        log.warning("a consumer did not stop cleanly: %r", error)
