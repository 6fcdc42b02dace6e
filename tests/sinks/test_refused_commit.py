"""A commit that the group refuses while the member keeps its partitions: what was read ahead is read again."""

from __future__ import annotations

import asyncio

import pytest

from axonstream.kafka.topics import event_key
from axonstream.settings.settings import Settings
from kit.sample_events import event_value
from kit.sink_process import pipeline, start_sink

pytestmark = pytest.mark.services

REFUSED = 3
# The real sink, but the first commits of rows fail after they are stored, without any rebalance.
SINK = f"""
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError
from axonstream.settings.settings import Settings
from axonstream.sinks.worker import run

commit, left = AIOKafkaConsumer.commit, {REFUSED}

async def refused_at_first(self, offsets=None):
    global left
    if left:
        left -= 1
        raise CommitFailedError("injected")
    await commit(self, offsets)

AIOKafkaConsumer.commit = refused_at_first
run(Settings())
"""


def test_after_a_refused_commit_what_was_read_ahead_is_stored_once(server_settings: Settings) -> None:
    few = server_settings.model_copy(update={"sink_max_rows": 20})  # many batches: one is read ahead of each INSERT

    async def story() -> None:
        async with pipeline(few) as pipe:
            traces = [f"tr_{i % 7}" for i in range(400)]
            sent = await asyncio.gather(
                *(
                    pipe.send(pipe.topics.events, event_key(trace), event_value(trace, number))
                    for number, trace in enumerate(traces)
                )
            )
            process = start_sink(few, "-c", SINK)
            try:
                await pipe.until("SELECT count() FROM events_log", len(sent))
                rows = await pipe.query("SELECT _partition, _offset FROM events_log ORDER BY ALL")
                for partition in {partition for partition, _ in sent}:
                    await pipe.until_committed(partition, 1 + max(offset for p, offset in sent if p == partition))
                assert process.poll() is None
            finally:
                process.kill()
                process.wait()
                assert process.stdout is not None
                process.stdout.close()
            assert [tuple(row) for row in rows] == sorted(sent)

    asyncio.run(story())
