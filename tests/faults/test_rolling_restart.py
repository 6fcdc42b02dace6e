"""A rolling restart of two of each part under load: nobody notices but the operator.

The bounds of the soak are times of the clock, for a machine on which nothing else runs.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from uuid import uuid4

import httpx
import pytest

from axonstream.settings.settings import Settings
from kit.oracle import judge
from kit.running_stack import HEADERS, RunningStack, running_stack
from kit.soak_report import SoakReport
from kit.until import until

pytestmark = pytest.mark.services

EVENTS_PER_S, IN_A_SOAK = 100, 500
BULK = 10
DEADLINE_S = 10.0  # AXONSTREAM_PUBLISH_TIMEOUT_MS, and what a sender that tries the other gateway has in all
READ_P99_S = 2.0
HEALS_WITHIN_S = 90.0
ROLL = ("gateway-0", "gateway-1", "processor-0", "processor-1", "sink-0", "sink-1")
Call = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


class PacedLoad:
    """`events_per_s` in bulks of BULK, and reads one after the other, as a load balancer sends them: a gateway that
    does not take a request is passed over. Seconds of publishes and reads count from the first try."""

    def __init__(self, urls: list[str], events_per_s: int) -> None:
        self._bulk_s = BULK / events_per_s
        self._clients = [httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=DEADLINE_S) for url in urls]
        self._turns = itertools.count()
        self._numbers = itertools.count()
        self._traces = [f"tr_{uuid4().hex[:16]}" for _ in range(20)]
        self.acknowledged: set[str] = set()
        self.published: list[float] = []
        self.read: list[float] = []
        self.stale = 0

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(stop))
            due = monotonic()
            while not stop.is_set():
                group.create_task(self._publish())
                due += self._bulk_s
                await asyncio.sleep(max(0.0, due - monotonic()))

    async def until_more(self, bulks: int) -> None:
        goal = len(self.published) + bulks
        await until(lambda: len(self.published) >= goal, f"{bulks} more bulk requests answered", HEALS_WITHIN_S)

    async def _publish(self) -> None:
        numbers = list(itertools.islice(self._numbers, BULK))
        events = [
            {
                "identifier": f"event-{number}",
                "payload": {"number": number},
                "channel_id": 1,
                "traceId": self._traces[number % len(self._traces)],
                "dedupKey": f"event-{number}",
            }
            for number in numbers
        ]
        began = monotonic()
        answer = await self._until_answered(lambda client: client.post("/events", json=events), began + DEADLINE_S)
        assert answer.status_code == 200, answer.text
        assert answer.json()["accepted"] == BULK, answer.text
        self.published.append(monotonic() - began)
        self.acknowledged.update(f"event-{number}" for number in numbers)

    async def _read(self, stop: asyncio.Event) -> None:
        for trace in itertools.cycle(self._traces):
            if stop.is_set():
                return
            began, path = monotonic(), f"/traces/{trace}/summary?events=0"
            answer = await self._until_answered(lambda client, path=path: client.get(path), began + 60)
            assert answer.status_code in (200, 404), answer.text
            self.stale += "X-Axonstream-Stale" in answer.headers
            self.read.append(monotonic() - began)

    async def _until_answered(self, call: Call, deadline: float) -> httpx.Response:
        while True:
            client = self._clients[next(self._turns) % len(self._clients)]
            try:
                answer = await call(client)
            except httpx.TransportError:
                if monotonic() > deadline:
                    raise
            else:
                if answer.status_code != 503 or monotonic() > deadline:
                    return answer
            await asyncio.sleep(0.05)


async def roll(stack: RunningStack, load: PacedLoad, bulks: int) -> None:
    """So many are answered before, between and after the restarts."""
    await load.until_more(bulks)
    for part in ROLL:
        await stack.restart(part)
        await load.until_more(bulks)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def test_a_rolling_restart_of_two_of_each_part_costs_nobody_anything(
    one_broker_settings: Settings, tmp_path: Path, soak: bool, soak_report: SoakReport
) -> None:
    settings = one_broker_settings.model_copy(update={"topic_partitions": 8})

    async def scenario() -> None:
        began, stop = monotonic(), asyncio.Event()
        async with running_stack(settings, tmp_path, gateways=2, workers=2) as stack:
            load = PacedLoad(stack.urls, IN_A_SOAK if soak else EVENTS_PER_S)
            loading = asyncio.create_task(load.run(stop))
            try:
                await roll(stack, load, 50 if soak else 10)
            finally:
                stop.set()
                await loading
                await load.close()
            judgement = await judge(settings, acknowledged=load.acknowledged, settles_within_s=HEALS_WITHIN_S)
            note = (
                f"{len(load.published) * BULK / (monotonic() - began):.0f} events/s over all; publish p99 "
                f"{percentile(load.published, 0.99):.2f} s, longest {max(load.published):.2f} s; read p50 "
                f"{percentile(load.read, 0.5):.2f} s, p99 {percentile(load.read, 0.99):.2f} s, {load.stale} of "
                f"{len(load.read)} stale"
            )
            soak_report.add(judgement.row("a part is rolled", len(ROLL), monotonic() - began, note))
            judgement.must_be_clean()
            assert stack.restarts == [], note
            if soak:
                assert max(load.published) < DEADLINE_S, note
                assert percentile(load.read, 0.99) < READ_P99_S, note

    asyncio.run(scenario())
