"""Power cuts of the machines of ClickHouse, of Kafka and of both, at enumerated moments of the pipeline's work.

What is promised then (README.md): what Kafka has, ClickHouse has again; what only ClickHouse has, stays. Without
AXONSTREAM_KAFKA_FLUSH_MESSAGES, what neither of them had on its disk is gone, and nothing else.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from typing import Literal, NamedTuple
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from axonstream.contract.event_record import encode_event
from axonstream.deploy.init import initialise
from axonstream.event_contract import EventInput
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics, event_key
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import SinkError
from axonstream.sinks.verification import Verification, verify
from axonstream.sinks.writing.table_writer import CLICKHOUSE_ERRORS
from kit.clickhouse_process import ClickHouseProcess
from kit.kafka_cluster import KafkaCluster
from kit.oracle import SETTLES_WITHIN_S, Judgement, judge, settled
from kit.parts_kept_running import PartsKeptRunning
from kit.power_cut import DiskState, NewFiles
from kit.soak_report import SoakReport
from kit.until import until

pytestmark = pytest.mark.services

EVENTS = 40  # of one step
HEALS_WITHIN_S = 120.0
Victim = Literal["ClickHouse", "Kafka", "both"]


class Moment(NamedTuple):
    """Where the disk stops and where the power goes, within a step of publishing EVENTS events.

    `disk_after`: so many steps are on the disk. `merged`: ClickHouse has merged what it has, so that the lost part is a
    large one. `stored`: the last step was stored before the cut; otherwise it is on its way.
    """

    disk_after: int
    steps: int
    new_files: NewFiles
    merged: bool = False
    stored: bool = True

    def __str__(self) -> str:
        of = f"{self.disk_after} of {self.steps} steps on disk, the rest {self.new_files.value}"
        return of + (", merged" if self.merged else "") + ("" if self.stored else ", the last on its way")


ALL_STORED = [
    Moment(1, 2, NewFiles.EMPTIED),
    Moment(1, 3, NewFiles.REMOVED, merged=True),
    Moment(0, 2, NewFiles.HALVED),
    Moment(2, 3, NewFiles.REMOVED),
    Moment(0, 3, NewFiles.EMPTIED, merged=True),
]
ON_ITS_WAY = [
    Moment(1, 2, NewFiles.EMPTIED, stored=False),
    Moment(0, 2, NewFiles.REMOVED, stored=False),
    Moment(2, 3, NewFiles.HALVED, merged=True, stored=False),
]


class Machines:
    """Two machines with a disk each, ClickHouse on one and Kafka on the other; or, for "both", one machine for all."""

    def __init__(self, clickhouse: Path, password: str, kafka: KafkaCluster | None) -> None:
        self.clickhouse = ClickHouseProcess(clickhouse, password)
        self._kafka = kafka
        self._directories = {"ClickHouse": clickhouse}
        if kafka is not None:
            self._directories["Kafka"] = kafka.brokers[1].directory

    def disks(self, victim: Victim) -> list[DiskState]:
        return [DiskState(path) for name, path in self._directories.items() if victim in (name, "both")]

    async def lose_power(self, victim: Victim, disks: list[DiskState], new_files: NewFiles) -> None:
        """The servers die at once, and start on disks that have what they had."""
        broker = None if self._kafka is None or victim == "ClickHouse" else self._kafka.brokers[1]
        if broker is not None:
            broker.kill()
        if victim != "Kafka":
            self.clickhouse.kill()
        assert sum(disk.cut(new_files) for disk in disks), "the power cut cost nothing"
        if broker is not None and self._kafka is not None:
            broker.start()
            await self._kafka.until_ready()
        if victim != "Kafka":
            self.clickhouse = await asyncio.to_thread(self.clickhouse.again)


async def publish(settings: Settings, step: int) -> list[str]:
    """EVENTS events of eight traces, half of which go on from step to step; the dedup keys, all acknowledged."""
    numbers = range(step * EVENTS, (step + 1) * EVENTS)
    async with AIOKafkaProducer(**kafka_options(settings), acks="all", enable_idempotence=True) as producer:
        for number in numbers:
            trace = f"tr_{number % 4}" if number % 2 else f"tr_{step}_{number % 4}"
            kind = "agent.error" if number % 10 == 3 else "agent.message"
            event = EventInput(
                identifier="step", payload={"n": number}, channel_id=1, event_type=kind, dedup_key=f"k{number}"
            )
            value = encode_event(event, tenant_id="1", trace_id=trace, fresh_id=0, now_ms=1_900_000_000_000).value
            await producer.send_and_wait(Topics(settings.topic_prefix).events, value, key=event_key(trace))
    return [f"k{number}" for number in numbers]


async def merge(machines: Machines, settings: Settings) -> None:
    client = machines.clickhouse.client(database=settings.clickhouse_database)
    for table in ("events_log", "trace_summaries", "dead_letters"):
        await asyncio.to_thread(client.command, f"OPTIMIZE TABLE {table} FINAL")
    client.close()


async def until_healed(settings: Settings, parts: PartsKeptRunning) -> None:
    """Whatever was lost and can be had is there again: the deep verification finds nothing."""
    said: list[object] = []

    async def healed() -> bool:
        await parts.start_again_what_ended()
        try:
            found: Verification = await verify(settings, deep=True)
        except (KafkaError, SinkError, *CLICKHOUSE_ERRORS) as error:
            said.append(error)
            return False
        said.append((found.counts, found.pending, found.behind, found.findings[:5]))
        return found.clean and not found.pending and not found.behind

    await until(healed, lambda: f"nothing is missing: {said[-1]}", HEALS_WITHIN_S)


async def cut(machines: Machines, settings: Settings, victim: Victim, moment: Moment) -> Judgement:
    """One power cut, with topics and a database of its own, from the first event to the judgement."""
    settings = settings.model_copy(
        update={
            "topic_prefix": f"p{uuid4().hex[:8]}-",
            "clickhouse_database": f"p{uuid4().hex[:8]}",
            "clickhouse_url": f"http://127.0.0.1:{machines.clickhouse.port}",
        }
    )
    await initialise(settings)
    disks: list[DiskState] = []
    must_stay: list[str] = []
    may_be_lost: list[str] = []
    async with PartsKeptRunning(settings) as parts:
        for step in range(moment.steps):
            if step == moment.disk_after:
                disks = machines.disks(victim)
            is_last = step == moment.steps - 1
            if is_last and moment.merged and not moment.stored:
                await merge(machines, settings)
            keys = await publish(settings, step)
            on_its_way = is_last and not moment.stored
            if not on_its_way:
                await settled(settings, SETTLES_WITHIN_S)
            nowhere_else = victim == "both" or (victim == "Kafka" and on_its_way)
            (may_be_lost if step >= moment.disk_after and nowhere_else else must_stay).extend(keys)
        if moment.merged and moment.stored:
            await merge(machines, settings)
        if victim == "both":
            parts.kill()
        await machines.lose_power(victim, disks, moment.new_files)
        await parts.start_again_what_ended()
        must_stay += await publish(settings, moment.steps)
        await until_healed(settings, parts)
        return await judge(settings, acknowledged=must_stay, unknown=may_be_lost, deep=True)


async def cuts(
    machines: Machines, settings: Settings, victim: Victim, moments: list[Moment], report: SoakReport
) -> None:
    began = monotonic()
    found: list[Judgement] = []
    for moment in moments:
        judgement = await cut(machines, settings, victim, moment)
        assert not judgement.findings, f"{moment}: {judgement.findings[:20]}"
        found.append(judgement)
    report.add(in_one(found).row(f"power cut: {victim}", len(moments), monotonic() - began, f"{len(moments)} moments"))


def in_one(judgements: list[Judgement]) -> Judgement:
    """Their sums."""
    names = ("acknowledged", "stored", "dead_letters", "lost", "twice", "differing")
    sums = {name: sum(getattr(one, name) for one in judgements) for name in names}
    return Judgement(**sums, findings=[finding for one in judgements for finding in one.findings])


@pytest.mark.timeout(1500)
def test_a_power_cut_of_clickhouse_costs_nothing_that_kafka_has(
    server_settings: Settings, soak: bool, soak_report: SoakReport, tmp_path: Path
) -> None:
    """Processor and sink live on: the sink notices that ClickHouse was restarted."""

    async def story() -> None:
        password = server_settings.clickhouse_password.get_secret_value()
        machines = await asyncio.to_thread(Machines, tmp_path / "clickhouse", password, None)
        try:
            moments = [*ALL_STORED, *ON_ITS_WAY] if soak else ALL_STORED[1:2]
            await cuts(machines, server_settings, "ClickHouse", moments, soak_report)
        finally:
            machines.clickhouse.kill()

    asyncio.run(story())


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("victim", ["both", "Kafka"])
def test_a_power_cut_of_kafka_costs_at_most_what_nobody_had_on_a_disk(
    one_broker: KafkaCluster,
    one_broker_settings: Settings,
    soak: bool,
    soak_report: SoakReport,
    tmp_path: Path,
    victim: Victim,
) -> None:
    """Events at the offsets that are used again are stored and shown, and what only ClickHouse has stays."""

    async def story() -> None:
        password = one_broker_settings.clickhouse_password.get_secret_value()
        machines = await asyncio.to_thread(Machines, tmp_path / "clickhouse", password, one_broker)
        try:
            moments = [*ALL_STORED, *ON_ITS_WAY] if soak else ON_ITS_WAY[:1]
            await cuts(machines, one_broker_settings, victim, moments, soak_report)
        finally:
            machines.clickhouse.kill()

    asyncio.run(story())
