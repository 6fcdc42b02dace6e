"""A full disk under ClickHouse or under Kafka: refused loudly, nothing lost, and all heals when there is room."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from axonstream.settings.settings import Settings
from kit.clickhouse_process import ClickHouseProcess
from kit.fault_run import GAIN, HEALS_WITHIN_S, hurt_under_load
from kit.kafka_cluster import kafka_cluster
from kit.publishing_load import PublishingLoad
from kit.running_stack import HEADERS, running_stack
from kit.small_disk import CannotMountError, SmallDisk, small_disk
from kit.soak_report import SoakReport
from kit.until import until

pytestmark = [pytest.mark.services, pytest.mark.soak]

DISK_MB = 400
TIMES = 2


@contextmanager
def _disk(path: Path, report: SoakReport, fault: str) -> Generator[SmallDisk]:
    try:
        with small_disk(path, DISK_MB) as disk:
            yield disk
    except CannotMountError as error:
        report.left_out.append(f"{fault}: no tmpfs can be mounted ({error})")
        pytest.skip(str(error))


def _settings(kafka_bootstrap: str, clickhouse_url: str, directory: Path) -> Settings:
    name = uuid4().hex[:8]
    return Settings(
        kafka_bootstrap_servers=kafka_bootstrap,
        clickhouse_url=clickhouse_url,
        topic_prefix=f"t{name}-",
        clickhouse_database=f"t{name}",
        topic_partitions=2,
        publish_timeout_ms=2000,
        read_wait_ms=1000,
        data_dir=directory,
        log_level="WARNING",
    )


def test_clickhouse_on_a_full_disk(kafka_bootstrap: str, tmp_path: Path, soak_report: SoakReport) -> None:
    fault = "disk full at ClickHouse"

    async def scenario(disk: SmallDisk, settings: Settings) -> None:
        async with running_stack(settings, tmp_path) as stack:

            async def fill_the_disk(load: PublishingLoad) -> None:
                already = stack.log("sink-0").count("NOT_ENOUGH_SPACE")
                disk.fill()
                try:
                    await until(
                        lambda: stack.log("sink-0").count("NOT_ENOUGH_SPACE") > already + 2,
                        "the sink says why it cannot store",
                        HEALS_WITHIN_S,
                    )
                    await load.until_every_trace_gains(GAIN, HEALS_WITHIN_S)
                    async with httpx.AsyncClient(headers=HEADERS, timeout=60) as client:
                        answer = await client.get(f"{stack.urls[0]}/traces?limit=1")
                    assert "X-Axonstream-Stale" in answer.headers
                finally:
                    disk.make_room()

            load = await hurt_under_load(fault, TIMES, fill_the_disk, stack, soak_report)
            assert not load.statuses[503], "publishing does not depend on ClickHouse"

    with _disk(tmp_path / "disk", soak_report, fault) as disk:
        server = ClickHouseProcess(disk.path / "clickhouse", Settings().clickhouse_password.get_secret_value())
        try:
            asyncio.run(scenario(disk, _settings(kafka_bootstrap, f"http://127.0.0.1:{server.port}", tmp_path)))
        finally:
            server.kill()


def test_kafka_on_a_full_disk(clickhouse_url: str, tmp_path: Path, soak_report: SoakReport) -> None:
    fault = "disk full at Kafka"

    with _disk(tmp_path / "disk", soak_report, fault) as disk, kafka_cluster(disk.path, 1) as cluster:
        [broker] = cluster.brokers.values()

        async def fill_the_disk(load: PublishingLoad) -> None:
            refused = load.statuses[503]
            disk.fill()
            try:
                await until(broker.ended, "the broker has halted", HEALS_WITHIN_S)
                await until(lambda: load.statuses[503] > refused, "a publish is refused", HEALS_WITHIN_S)
            finally:
                disk.make_room()
            broker.start()
            await cluster.until_ready()

        async def scenario() -> None:
            settings = _settings(cluster.bootstrap_servers, clickhouse_url, tmp_path)
            async with running_stack(settings, tmp_path) as stack:
                await hurt_under_load(fault, TIMES, fill_the_disk, stack, soak_report)

        asyncio.run(scenario())
        assert "No space left on device" in broker.output()
