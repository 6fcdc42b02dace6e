"""SIGKILL of the ClickHouse process at every write, rename and fsync of an INSERT, enumerated with strace."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from math import ceil
from pathlib import Path
from time import monotonic

import pytest

from axonstream.kafka.topics import event_key
from axonstream.settings.settings import Settings
from kit.own_clickhouse import own_clickhouse
from kit.sample_events import NOW_MS, event_value
from kit.sink_process import Pipeline, pipeline, sink
from kit.soak_report import SoakReport
from kit.stored_places import must_be_stored_once

pytestmark = [pytest.mark.services, pytest.mark.soak]

SYSCALLS = ("write", "pwrite64", "writev", "rename", "renameat", "renameat2", "fsync", "fdatasync", "link", "unlink")
STRACE = shutil.which("strace")
DAY_MS = 24 * 3600 * 1000
BATCH = 30
LONGEST_S = 480.0  # of all points together
DEADLINE_S = 60.0


async def publish(pipe: Pipeline, number: int) -> None:
    """One batch over three days: its INSERT makes three parts."""
    sending: list[Awaitable[object]] = []
    for n in range(number * BATCH, (number + 1) * BATCH):
        value = event_value(f"tr_{n % 5}", n + 1, now_ms=NOW_MS + n % 3 * DAY_MS)
        key = event_key(f"tr_{n % 5}")
        sending.append(await pipe.producer.send(pipe.topics.events, value, key=key, partition=0))
    await asyncio.gather(*sending)


class Tracer:
    """strace on a running server; counting per thread starts when it has attached."""

    def __init__(self, pid: int, log: Path, *options: str) -> None:
        names = ",".join(SYSCALLS)
        command = ["strace", "-f", "-p", str(pid), "-o", str(log), "-e", f"trace={names}", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "attached" in line:
                break
        else:
            raise AssertionError(f"strace cannot attach to {pid}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=DEADLINE_S)


def calls_of_busiest_thread(log: Path) -> int:
    return max(Counter(line.split(maxsplit=1)[0] for line in log.read_text().splitlines()).values())


@pytest.mark.timeout(900)
def test_clickhouse_killed_at_any_write_rename_or_fsync_of_an_insert(
    server_settings: Settings, soak_report: SoakReport, tmp_path: Path
) -> None:
    if STRACE is None:
        soak_report.left_out.append("ClickHouse SIGKILL at each write, rename and fsync: strace is not installed")
        pytest.skip("strace is not installed")

    async def story() -> None:
        directory, log = tmp_path / "clickhouse", tmp_path / "strace"
        server, own = await own_clickhouse(server_settings, directory, "s")
        async with pipeline(own) as pipe:
            with sink(own):
                await publish(pipe, 0)
                await must_be_stored_once(own)
                tracer = await asyncio.to_thread(Tracer, server.process.pid, log)
                await publish(pipe, 1)
                await pipe.until("SELECT count() FROM events_log", 2 * BATCH)
                await asyncio.to_thread(tracer.stop)
                calls = calls_of_busiest_thread(log)
                started, tried, killed, seconds_each = monotonic(), 0, 0, 6.0
                step = max(1, ceil(calls * seconds_each / LONGEST_S))
                for at in range(1, calls + 1, step):
                    inject = f"inject={','.join(SYSCALLS)}:signal=KILL:when={at}"
                    tracer = await asyncio.to_thread(Tracer, server.process.pid, log, "-e", inject)
                    tried += 1
                    await publish(pipe, 1 + tried)
                    stored = (2 + tried - 1) * BATCH
                    with suppress(subprocess.TimeoutExpired):
                        await asyncio.to_thread(server.process.wait, 3)
                    if server.process.poll() is None:
                        await asyncio.to_thread(tracer.stop)
                    else:
                        killed += 1
                        await asyncio.to_thread(tracer.process.communicate)
                        server.kill()
                        server = await asyncio.to_thread(server.again)
                    await pipe.until("SELECT count() FROM events_log", stored + BATCH)
                found = await must_be_stored_once(own)
            assert killed >= tried * 3 // 4, f"only {killed} of {tried} killed the server"
            note = f"{calls} calls, every {step}; {killed} of {tried} reached"
            soak_report.add(
                found.row("ClickHouse SIGKILL at each write, rename, fsync", killed, monotonic() - started, note)
            )
        server.stop()

    asyncio.run(story())
