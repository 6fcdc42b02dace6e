"""A publisher from elsewhere may use transactions: their markers take offsets, and nothing may wait for those."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import time_ns
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from axonstream.deploy.init import initialise
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from kit.evicted import evicted
from kit.log_ends import log_ends
from kit.processor_process import processor
from kit.running_stack import HEADERS
from kit.sample_events import event_value
from kit.sink_process import Pipeline, pipeline, sink

pytestmark = pytest.mark.services


async def publish(settings: Settings, traces: Sequence[str]) -> None:
    """One event a trace, all in one transaction: its marker is the last record of each partition that it reached."""
    kafka: dict[str, Any] = {**kafka_options(settings), "transactional_id": uuid4().hex}
    async with AIOKafkaProducer(**kafka) as other, other.transaction():
        for number, trace in enumerate(traces):
            value = event_value(trace, number, now_ms=time_ns() // 1_000_000)  # lists of the shared stack are by time
            await other.send_and_wait(Topics(settings.topic_prefix).events, value, key=trace.encode())


def some_traces() -> list[str]:
    return [f"tr_{uuid4().hex}" for _ in range(20)]


def test_a_trace_whose_last_event_is_followed_by_a_marker_is_evicted(server_settings: Settings) -> None:
    settings = server_settings.model_copy(update={"trace_idle_s": 0.5})
    of_an_earlier_life, of_this_life = some_traces(), some_traces()

    async def story() -> None:
        async with pipeline(settings):
            await publish(settings, of_an_earlier_life)
            with processor(settings):
                await asyncio.gather(*(evicted(settings, trace) for trace in of_an_earlier_life))
                await publish(settings, of_this_life)
                await asyncio.gather(*(evicted(settings, trace) for trace in of_this_life))

    asyncio.run(story())


def test_the_sink_commits_past_the_markers(server_settings: Settings) -> None:
    async def committed_to_the_end(pipe: Pipeline) -> None:
        for partition, end in (await log_ends(server_settings)).items():
            await pipe.until_committed(partition, end)

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            await publish(server_settings, some_traces())
            with sink(server_settings):
                await committed_to_the_end(pipe)
                await publish(server_settings, some_traces())
                await committed_to_the_end(pipe)
            with sink(server_settings):
                await publish(server_settings, some_traces())
                await committed_to_the_end(pipe)

    asyncio.run(story())


def test_a_read_behind_a_marker_is_fresh(stack_settings: Settings, gateway_url: str) -> None:
    async def story() -> None:
        await initialise(stack_settings)
        traces = some_traces()
        async with httpx.AsyncClient(base_url=gateway_url, headers=HEADERS, timeout=60) as client:
            await publish(stack_settings, traces)
            for path in (f"/traces/{traces[0]}/summary", f"/traces/{traces[0]}/events", "/traces?limit=1"):
                answer = await client.get(path)
                assert answer.status_code == 200, answer.text
                assert "X-Axonstream-Stale" not in answer.headers

    asyncio.run(story())
