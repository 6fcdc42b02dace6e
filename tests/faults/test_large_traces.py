"""Traces of any size: nothing is lost or miscounted, lists are capped and recounted, and memory stays bounded."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from time import monotonic
from typing import Any

import httpx
import orjson
import psutil
import pytest

from axonstream.contract.event_record import EventRecord, encode_event
from axonstream.event_contract import MAX_EVENT_BYTES, EventInput
from axonstream.local.free_ports import free_port
from axonstream.producers.event_log import EventLog
from axonstream.settings.settings import Settings
from axonstream.stream_processors.trace_state import LIST_CAP
from kit.gateway_process import gateway_process
from kit.oracle import judge
from kit.processor_process import processor
from kit.sink_process import Pipeline, pipeline, sink
from kit.soak_report import SoakReport

pytestmark = [pytest.mark.services, pytest.mark.timeout(1200)]

HEADERS = {"X-API-Key": "ak_local", "x-tenant-id": "1"}
NOW_MS = 1_790_000_000_000
AT_ONCE = 5000
ONE_TRACE = "tr_long"
STREAMING_MAY_TAKE = 150 << 20  # bytes of memory, whatever the trace: about 98 MB were measured in all
_NUMBER = re.compile(rb'"identifier":"(\d+)"')


@dataclass(frozen=True)
class Sizes:
    """Events, agents and traces; seconds to wait for them."""

    events: int
    agents: int
    traces: int
    patience_s: float


SMALL, FULL = Sizes(20_000, 300, 2_000, 60), Sizes(1_000_000, 100_000, 1_000_000, 300)


def events(count: int, trace_id: str, prefix: str, agents: int = 1) -> Iterator[EventRecord]:
    """`trace_id` and the agents are numbered where they hold %d; dedup keys are `prefix` and the number."""
    for number in range(count):
        event = EventInput(
            identifier=str(number),
            payload={"n": number},
            channel_id=1,
            agent_id=f"agent {number % agents}",
            dedup_key=f"{prefix}{number}",
            event_type="agent.error" if number == count // 2 else "agent.message",
            occurred_at=NOW_MS + number,
        )
        trace = trace_id.replace("%d", str(number))
        yield encode_event(event, tenant_id="1", trace_id=trace, fresh_id=number, now_ms=NOW_MS + number)


@asynccontextmanager
async def event_log(settings: Settings) -> AsyncGenerator[EventLog]:
    log = EventLog.from_settings(settings)
    await log.start()
    try:
        yield log
    finally:
        await log.stop()


async def publish(log: EventLog, records: Iterator[EventRecord]) -> None:
    while batch := list(islice(records, AT_ONCE)):
        await log.append(batch)


class Readers:
    """Asks the gateway over HTTP, and is answered only with what is not stale."""

    def __init__(self, client: httpx.AsyncClient, patience_s: float) -> None:
        self._client = client
        self._patience_s = patience_s

    async def summary(self, trace_id: str, expected: int) -> dict[str, Any]:
        """The first fresh summary; it must hold every event that was acknowledged."""
        deadline = monotonic() + self._patience_s
        while True:
            answer = await self._client.get(f"/traces/{trace_id}/summary?events=0")
            if answer.status_code == 200 and "X-Axonstream-Stale" not in answer.headers:
                found = answer.json()
                assert found["totalEvents"] == expected
                return found
            assert answer.status_code in (200, 503), answer.text
            assert monotonic() < deadline, f"{trace_id} is not readable: {answer.text[:300]}"

    async def streamed_numbers(self, trace_id: str) -> list[int]:
        """The identifiers of the trace's events, in the order in which they are sent; the answer is never held."""
        numbers: list[int] = []
        rest = b""
        async with self._client.stream("GET", f"/traces/{trace_id}/events") as answer:
            assert answer.status_code == 200
            async for piece in answer.aiter_bytes():
                text = rest + piece
                found = list(_NUMBER.finditer(text))
                numbers += [int(each[1]) for each in found]
                rest = text[found[-1].end() :] if found else text
        assert rest.endswith(b"]")
        return numbers


@asynccontextmanager
async def most_memory(process: psutil.Process) -> AsyncGenerator[list[int]]:
    """Bytes that the process held at each look, the first of them before the block."""
    looks = [process.memory_info().rss]

    async def look() -> None:
        while True:
            looks.append(process.memory_info().rss)
            await asyncio.sleep(0.02)

    looking = asyncio.create_task(look())
    try:
        yield looks
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def one_long_trace(readers: Readers, log: EventLog, serving: psutil.Process, sizes: Sizes) -> str:
    await publish(log, events(sizes.events, ONE_TRACE, "long "))
    summary = await readers.summary(ONE_TRACE, sizes.events)
    assert summary["firstError"]["step"] == sizes.events // 2 + 1
    async with most_memory(serving) as looks:
        assert await readers.streamed_numbers(ONE_TRACE) == list(range(sizes.events))
    grown = max(looks) - looks[0]
    assert grown < STREAMING_MAY_TAKE, f"the gateway grew by {grown >> 20} MiB"
    return f"a streamed trace took {grown >> 20} MiB"


async def many_agents(readers: Readers, log: EventLog, pipe: Pipeline, sizes: Sizes) -> None:
    await publish(log, events(sizes.agents, "tr_agents", "agents ", sizes.agents))
    summary = await readers.summary("tr_agents", sizes.agents)
    assert summary["agents"] == [f"agent {number}" for number in range(sizes.agents)]
    assert await pipe.query("SELECT length(agents), exact FROM traces WHERE trace_id = 'tr_agents'") == [(LIST_CAP, 0)]


async def one_large_payload(client: httpx.AsyncClient, readers: Readers) -> None:
    """The largest event that is taken comes back byte for byte, and one byte more is refused."""
    event = {"identifier": "0", "channel_id": 1, "traceId": "tr_large", "dedupKey": "large", "payload": {"x": ""}}
    room = MAX_EVENT_BYTES - len(orjson.dumps(event))
    for size, status in ((room + 1, 413), (room, 201)):
        body = orjson.dumps(event | {"payload": {"x": "é" * (size // 2) + "x" * (size % 2)}})
        assert (await client.post("/event", content=body)).status_code == status
    await readers.summary("tr_large", 1)
    answer = await client.get("/traces/tr_large/events")
    assert answer.json()[0]["payload"] == {"x": "é" * (room // 2) + "x" * (room % 2)}


async def many_traces(client: httpx.AsyncClient, readers: Readers, log: EventLog, sizes: Sizes) -> None:
    await publish(log, events(sizes.traces, "tr_%d", "traces "))
    await readers.summary(f"tr_{sizes.traces - 1}", 1)
    await readers.summary("tr_0", 1)
    page = await client.get("/traces?limit=1000")
    assert page.status_code == 200
    assert len({row["traceId"] for row in page.json()}) == 1000


def test_traces_of_any_size_are_whole_and_take_bounded_memory(
    server_settings: Settings, soak: bool, soak_report: SoakReport
) -> None:
    sizes = FULL if soak else SMALL
    settings = server_settings.model_copy(update={"publish_timeout_ms": 30_000})
    port = free_port()

    async def story() -> None:
        started = monotonic()
        with processor(settings) as folding, sink(settings), gateway_process(settings, port) as (served_by, said):
            assert said.readline() == "ready gateway\n"
            serving = psutil.Process(served_by.pid)
            async with (
                pipeline(settings) as pipe,
                event_log(settings) as log,
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=HEADERS, timeout=60) as client,
            ):
                readers = Readers(client, sizes.patience_s)
                note = await one_long_trace(readers, log, serving, sizes)
                await many_agents(readers, log, pipe, sizes)
                await one_large_payload(client, readers)
                await many_traces(client, readers, log, sizes)
                counts = (("long ", sizes.events), ("agents ", sizes.agents), ("traces ", sizes.traces))
                keys = {"large"} | {f"{prefix}{number}" for prefix, count in counts for number in range(count)}
                judgement = await judge(settings, acknowledged=keys, settles_within_s=sizes.patience_s)
                judgement.must_be_clean()
                assert (folding.poll(), served_by.poll()) == (None, None)
                held = psutil.Process(folding.pid).memory_info().rss >> 20
                note += f"; processor {held} MiB"
            soak_report.add(judgement.row("large traces", len(keys), monotonic() - started, note))

    asyncio.run(story())
