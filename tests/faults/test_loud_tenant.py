"""One tenant at full load beside another: what the other one's publishes and reads take.

The bounds are times of the clock, so this is a soak test, for a machine on which nothing else runs.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from pydantic import SecretStr

from axonstream.settings.settings import Settings
from kit.running_stack import running_stack
from kit.soak_report import FaultRow, SoakReport

pytestmark = [pytest.mark.services, pytest.mark.soak]

SECONDS = 60
PUBLISH_P99_S = 0.25
READ_S = 1.0
PAUSE_S = 0.05
OTHER = {"X-API-Key": "ak_other", "x-tenant-id": "2"}


class QuietTenant:
    """Publishes an event and reads its trace, again and again; `published` and `read` are seconds."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.published: list[float] = []
        self.read: list[float] = []
        self.stale = 0

    async def run(self, ends_at: float) -> None:
        async with httpx.AsyncClient(base_url=self._url, headers=OTHER, timeout=60) as client:
            await asyncio.gather(self._publish(client, ends_at), self._read(client, ends_at))

    async def _publish(self, client: httpx.AsyncClient, ends_at: float) -> None:
        event: dict[str, Any] = {"identifier": "step", "payload": {}, "channel_id": 1, "traceId": "quiet"}
        while (began := monotonic()) < ends_at:
            answer = await client.post("/event", json=event | {"dedupKey": uuid4().hex})
            assert answer.status_code == 201, answer.text
            self.published.append(monotonic() - began)
            await asyncio.sleep(PAUSE_S)

    async def _read(self, client: httpx.AsyncClient, ends_at: float) -> None:
        paths = ("/traces/quiet/summary", "/traces", "/event/1/list", "/traces/quiet/events")
        for number in range(sys.maxsize):
            if (began := monotonic()) >= ends_at:
                return
            answer = await client.get(paths[number % len(paths)])
            assert answer.status_code in (200, 404), answer.text
            self.stale += "X-Axonstream-Stale" in answer.headers
            self.read.append(monotonic() - began)
            await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def loud_tenant(url: str, seconds: float) -> AsyncGenerator[asyncio.Task[bytes]]:
    """A process that loads the gateway; the task has what it printed at its end."""
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tests.parent), str(tests)))}
    command = [sys.executable, "-m", "kit.loud_tenant", url, str(seconds)]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE)
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"loading\n"
        yield asyncio.create_task(process.stdout.read())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def test_a_tenant_at_full_load_leaves_another_its_publishes_and_reads(
    one_broker_settings: Settings, tmp_path: Path, soak_report: SoakReport
) -> None:
    settings = one_broker_settings.model_copy(
        update={"api_keys": SecretStr("ak_local=1,ak_other=2"), "topic_partitions": 8}
    )

    async def scenario() -> None:
        began = monotonic()
        async with running_stack(settings, tmp_path) as stack:
            quiet = QuietTenant(stack.urls[0])
            await quiet.run(monotonic() + 3)
            alone = percentile(quiet.published, 0.99), percentile(quiet.read, 0.99)
            quiet = QuietTenant(stack.urls[0])
            async with loud_tenant(stack.urls[0], SECONDS + 5) as load:
                await quiet.run(monotonic() + SECONDS)
                loud = orjson.loads(await load)
        p50, p99 = percentile(quiet.published, 0.5), percentile(quiet.published, 0.99)
        note = (
            f"beside {loud['events'] / SECONDS:.0f} events/s of the other tenant ({loud['answers']}): publish p50 "
            f"{p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms; read p50 {percentile(quiet.read, 0.5) * 1000:.0f} ms, p99 "
            f"{percentile(quiet.read, 0.99) * 1000:.0f} ms, longest {max(quiet.read) * 1000:.0f} ms, {quiet.stale} of "
            f"{len(quiet.read)} stale; alone {alone[0] * 1000:.0f} ms and {alone[1] * 1000:.0f} ms"
        )
        row = FaultRow(
            fault="a tenant at full load beside another",
            injected=1,
            acknowledged=loud["events"] + len(quiet.published),
            stored=0,
            seconds=round(monotonic() - began),
            note=note,
        )
        soak_report.add(row)
        print(note)
        assert p99 < PUBLISH_P99_S, note
        assert percentile(quiet.read, 0.99) < READ_S, note
        assert stack.restarts == [], note

    asyncio.run(scenario())
