"""SIGKILL at every step of a change of control data: a change is never on the topic without its entry."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from axonstream.gateway.control.audit_entry import is_entry
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.log import ControlLog
from axonstream.gateway.control.records import App, ControlRecord, Kind, Place
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from kit.audit_entries import an_entry
from kit.dead_letter_box import environment

pytestmark = pytest.mark.services

ENDS_WITHIN_S = 60.0
PASSINGS = 3  # of each point: the first times


def changing(settings: Settings, size: str, point: str, number: int, passings: Path) -> int:
    """The exit code of a process that makes a change, and dies at the point."""
    return subprocess.run(
        [sys.executable, "-m", "kit.control_crash_points", size, point, str(number), str(passings)],
        env={**os.environ, **environment(settings), "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=ENDS_WITHIN_S,
        check=False,
    ).returncode


def points(passings: Path) -> Iterator[tuple[str, int]]:
    for line in passings.read_text().splitlines():
        count, _, name = line.partition(" ")
        yield from ((name, number) for number in range(1, min(PASSINGS, int(count)) + 1))


async def on_topic(settings: Settings) -> dict[str, tuple[int, int]]:
    """Of each tenant how many entries the control topic has, and how many records of the change."""
    partition = TopicPartition(Topics(settings.topic_prefix).control, 0)
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    async with AIOKafkaConsumer(**kafka_options(settings)) as consumer:
        end = (await consumer.end_offsets([partition]))[partition]
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        while await consumer.position(partition) < end:
            for record in (await consumer.getmany(partition, timeout_ms=500)).get(partition, ()):
                key: bytes = record.key or b""
                counts[key.decode().split("/")[1]][not is_entry(key)] += 1
    return {tenant: (entries, records) for tenant, (entries, records) in counts.items()}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("size", ["small", "large"])
def test_a_change_that_is_killed_at_any_step_is_never_there_without_its_entry(
    server_settings: Settings, tmp_path: Path, size: str
) -> None:
    passings = tmp_path / "passings"
    assert changing(server_settings, size, "", 0, passings) == 0
    enumerated = list(points(passings))
    assert ("after a batch is acknowledged", 1) in enumerated
    assert (("before a batch is sent", 2) in enumerated) == (size == "large")
    for point, number in enumerated:
        assert changing(server_settings, size, point, number, passings) == -signal.SIGKILL
    found = asyncio.run(on_topic(server_settings))
    whole = found[f"{size}  0"]
    assert whole[0] == 1
    for tenant, (entries, records) in found.items():
        assert entries == 1, f"{tenant}: {records} records of a change without its entry"
        if size == "small":
            assert (entries, records) == whole, f"{tenant}: a part of a change that is one batch"


def test_two_gateways_know_of_every_entry_after_both_have_written_and_one_has_restarted(
    server_settings: Settings,
) -> None:
    async def scenario() -> None:
        one, other = (ControlLog(server_settings, ControlData()) for _ in range(2))
        await asyncio.gather(one.start(), other.start())
        try:
            for number in range(10, 20):
                await asyncio.gather(
                    *(
                        control.write([ControlRecord(Place(Kind.APP, "1", number), App(number, "a", 5, 5))], an_entry())
                        for control in (one, other)
                    )
                )
            await one.catch_up()
            await other.catch_up()
            assert (len(one.data.audit), len(other.data.audit)) == (20, 20)
        finally:
            await asyncio.gather(one.stop(), other.stop())
        restarted = ControlLog(server_settings, ControlData())
        await restarted.start()
        try:
            assert len(restarted.data.audit) == 20
            await restarted.enter(an_entry())
            await restarted.forget([b"audit/1/1"])
            await restarted.catch_up()
            assert len(restarted.data.audit) == 21
        finally:
            await restarted.stop()

    asyncio.run(scenario())
