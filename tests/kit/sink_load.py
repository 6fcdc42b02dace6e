"""Events for a sink all at once, and how it ends."""

from __future__ import annotations

import asyncio
import subprocess

from axonstream.kafka.topics import event_key
from kit.sample_events import event_value
from kit.sink_process import Pipeline

ENDS_WITHIN_S = 60


async def publish(pipe: Pipeline, count: int, partition: int = 0, size: int = 0) -> None:
    """Good events, all at once."""
    topic, payload = pipe.topics.events, b'{"x":"%b"}' % (b"x" * size)
    sending = [
        await pipe.producer.send(
            topic, event_value(f"tr_{n}", n, payload), key=event_key(f"tr_{n}"), partition=partition
        )
        for n in range(count)
    ]
    await asyncio.gather(*sending)


async def publish_bad(pipe: Pipeline, count: int, value: bytes = b"{not json") -> None:
    sending = [await pipe.producer.send(pipe.topics.events, value, key=b"tr_1", partition=0) for _ in range(count)]
    await asyncio.gather(*sending)


async def ended(process: subprocess.Popen[str]) -> int:
    return await asyncio.to_thread(process.wait, ENDS_WITHIN_S)
