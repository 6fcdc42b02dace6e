"""SIGKILL of the sink at every step between reading a record and committing it, enumerated, not drawn."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import orjson
import pytest

from axonstream.kafka.record_identity import decode_note
from axonstream.kafka.topics import WATERMARK_KEY, event_key, state_key
from axonstream.settings.settings import Settings
from kit.sample_events import event_value
from kit.sample_summaries import summary
from kit.sink_process import Pipeline, pipeline, sink, start_sink
from kit.soak_report import SoakReport
from kit.stored_places import must_be_stored_once
from kit.until import until

pytestmark = pytest.mark.services

PASSINGS = 2  # of each point: the first time and the second
SMALL = [
    ("before insert events_log", 2),
    ("after insert events_log", 1),
    ("after dead letters to Kafka", 1),
    ("before commit events", 1),
]
DIES_WITHIN_S = 120.0


class Batches:
    """One batch for each life of a sink: five events on each partition, one bad one, a summary and a watermark."""

    def __init__(self, pipe: Pipeline) -> None:
        self._pipe = pipe
        self._number = 0

    async def publish(self) -> None:
        topics, self._number = self._pipe.topics, self._number + 1
        for partition in (0, 1):
            for event in range(5):
                trace = f"tr_{self._number}_{partition}_{event}"
                await self._pipe.send(topics.events, event_key(trace), event_value(trace, event + 1), partition)
        await self._pipe.send(topics.events, b"tr", b"{not json", 0)
        value = orjson.dumps(summary("tr_1", 0, self._number))
        await self._pipe.send(topics.summaries, state_key("1", "tr_1"), value, 0)
        await self._pipe.send(topics.summaries, WATERMARK_KEY, orjson.dumps({"v": 1, "folded": self._number}), 0)

    async def must_be_there(self, settings: Settings) -> None:
        """With a sink running: everything is stored once, and the watermark is that of the stored summary."""
        await must_be_stored_once(settings)

        async def followed() -> bool:
            metadata = (await self._pipe.committed())[self._pipe.topics.summaries, 0][1]
            return decode_note(metadata).folded == self._number

        await until(followed, "the watermark follows", DIES_WITHIN_S)
        stored = await self._pipe.query("SELECT max(last_offset) FROM trace_summaries FINAL")
        assert stored == [(self._number,)], "the watermark covers a summary that is not stored"


def points(passings: Path) -> Iterator[tuple[str, int]]:
    for line in passings.read_text().splitlines():
        count, _, name = line.partition(" ")
        yield from ((name, number) for number in range(1, min(PASSINGS, int(count)) + 1))


async def ended(process: subprocess.Popen[str]) -> int:
    return await asyncio.to_thread(process.wait, DIES_WITHIN_S)


@pytest.mark.timeout(1500)
def test_a_sink_killed_at_any_step_loses_and_doubles_nothing(
    server_settings: Settings, soak: bool, soak_report: SoakReport, tmp_path: Path
) -> None:
    settings = server_settings.model_copy(update={"sink_max_rows": 4})  # several INSERTs a batch
    passings = tmp_path / "passings"

    def crashing(point: str, number: int) -> subprocess.Popen[str]:
        return start_sink(settings, "-m", "kit.sink_crash_points", point, str(number), str(passings))

    async def every_point(batches: Batches) -> list[tuple[str, int]]:
        await batches.publish()
        with crashing("", 0) as counting:
            await batches.must_be_there(settings)
            counting.send_signal(signal.SIGTERM)
            await ended(counting)
        return list(points(passings))

    async def story() -> None:
        started = monotonic()
        async with pipeline(settings) as pipe:
            batches = Batches(pipe)
            enumerated = await every_point(batches) if soak else SMALL
            not_reached: list[str] = []
            for point, number in enumerated:
                await batches.publish()
                with crashing(point, number) as process:
                    try:
                        code = await ended(process)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        not_reached.append(f"{point} #{number}")
                        code = -signal.SIGKILL
                    assert code == -signal.SIGKILL, f"{point} #{number}: the sink ended with {code}"
                with sink(settings):
                    await batches.must_be_there(settings)
            assert len(not_reached) <= len(enumerated) // 10, not_reached
            found = await must_be_stored_once(settings)
            note = f"not passed again, killed at rest: {', '.join(not_reached)}" if not_reached else ""
            took = monotonic() - started
            soak_report.add(found.row("sink SIGKILL at each step", len(enumerated), took, note))

    asyncio.run(story())
