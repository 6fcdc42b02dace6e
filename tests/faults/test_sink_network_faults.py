"""Between the sink and ClickHouse: answers that are cut, requests that arrive late, a server that is away."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Awaitable
from pathlib import Path
from time import monotonic

import psutil
import pytest

from axonstream.kafka.topics import event_key
from axonstream.settings.settings import Settings
from kit.cutting_proxy import CuttingProxy, Fate, cutting_proxy
from kit.oracle import SETTLES_WITHIN_S
from kit.own_clickhouse import own_clickhouse
from kit.sample_events import NOW_MS, event_value
from kit.sink_process import Pipeline, pipeline, sink
from kit.soak_report import SoakReport
from kit.stored_places import must_be_stored_once
from kit.until import until

pytestmark = pytest.mark.services

DEADLINE_S = 60.0
DAY_MS = 24 * 3600 * 1000
CATCHES_UP_WITHIN = 5  # times the outage: publishing goes on as fast as Kafka takes it
MEMORY_LIMIT = 700 << 20  # bytes; fetch buffers and the largest batch, whatever the backlog


async def publish(pipe: Pipeline, count: int, first: int = 0, size: int = 0, days: int = 1) -> None:
    payload = b'{"x":"%b"}' % (b"x" * size)
    sending: list[Awaitable[object]] = []
    for n in range(first, first + count):
        trace = f"tr_{n % 50}"
        value = event_value(trace, n + 1, payload, NOW_MS + n % days * DAY_MS)
        sending.append(await pipe.producer.send(pipe.topics.events, value, key=event_key(trace)))
    await asyncio.gather(*sending)


def test_an_insert_that_lands_but_whose_answer_is_cut_is_not_inserted_again(
    server_settings: Settings, soak: bool, soak_report: SoakReport
) -> None:
    wanted = 100 if soak else 10

    async def story(proxy: CuttingProxy) -> None:
        async with pipeline(server_settings) as pipe:
            turns = itertools.count()
            proxy.fate = lambda: Fate.DROP_ANSWER if next(turns) % 2 else Fate.PASS
            with sink(server_settings.model_copy(update={"clickhouse_url": proxy.url})):
                sent = 0
                deadline = monotonic() + 3 * DEADLINE_S
                while proxy.cut < wanted:
                    assert monotonic() < deadline
                    await publish(pipe, 20, sent)
                    sent += 20
                    await asyncio.sleep(0.02)
                found = await must_be_stored_once(server_settings)
            soak_report.add(found.row("INSERT lands, its answer is cut", proxy.cut))

    with cutting_proxy(server_settings.clickhouse_url) as proxy:
        asyncio.run(story(proxy))


def test_an_answer_that_claims_fewer_rows_is_no_acknowledgement(
    server_settings: Settings, soak_report: SoakReport
) -> None:
    async def story(proxy: CuttingProxy) -> None:
        async with pipeline(server_settings) as pipe:
            turns = itertools.count()
            proxy.fate = lambda: Fate.CLAIM if next(turns) < 2 else Fate.PASS
            with sink(server_settings.model_copy(update={"clickhouse_url": proxy.url})):
                await publish(pipe, 20)
                found = await must_be_stored_once(server_settings)
            assert found.stored == 20
            soak_report.add(found.row("a proxy answers 200 for ClickHouse", proxy.cut))

    with cutting_proxy(server_settings.clickhouse_url) as proxy:
        asyncio.run(story(proxy))


def test_an_answer_that_claims_more_rows_ends_the_sink(
    server_settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    async def story(proxy: CuttingProxy) -> None:
        proxy.fate, proxy.claimed = lambda: Fate.CLAIM, 1000
        async with pipeline(server_settings) as pipe:
            with sink(server_settings.model_copy(update={"clickhouse_url": proxy.url})) as process:
                await publish(pipe, 20)
                assert await asyncio.to_thread(process.wait, DEADLINE_S) == 1
            assert "ClickHouse made 1000 rows" in capfd.readouterr().err
            assert {offset for offset, _ in (await pipe.committed()).values()} == {0}

    with cutting_proxy(server_settings.clickhouse_url) as proxy:
        asyncio.run(story(proxy))


def test_a_zombie_whose_insert_arrives_after_its_successor_has_looked(
    server_settings: Settings, soak_report: SoakReport
) -> None:
    """The successor cannot kill what has not arrived; the server refuses it: it says until when it may begin."""
    zombie = server_settings.model_copy(update={"session_timeout_ms": 6000, "insert_timeout_ms": 2000})

    async def story(proxy: CuttingProxy) -> None:
        async with pipeline(zombie) as pipe:
            proxy.fate = lambda: Fate.HOLD
            with sink(zombie.model_copy(update={"clickhouse_url": proxy.url})) as stopped:
                await publish(pipe, 20)
                await until(lambda: proxy.held > 0, "an INSERT is held back", DEADLINE_S)
                stopped.send_signal(signal.SIGSTOP)
                with sink(zombie.model_copy(update={"sink_instance": "sink-1"})):
                    await must_be_stored_once(zombie)
                    proxy.release()
                    await until(lambda: proxy.delivered >= proxy.held, "all that was held has arrived", DEADLINE_S)
                    stopped.send_signal(signal.SIGCONT)
                    await publish(pipe, 20, 20)
                    found = await must_be_stored_once(zombie)
            assert await pipe.query("SELECT count() FROM events_log") == [(40,)]
            soak_report.add(found.row("zombie's INSERT arrives late", 1))

    with cutting_proxy(zombie.clickhouse_url) as proxy:
        asyncio.run(story(proxy))


def test_while_clickhouse_is_away_memory_is_bounded_and_then_the_sink_catches_up(
    server_settings: Settings, soak: bool, soak_report: SoakReport, tmp_path: Path
) -> None:
    away_s = 120 if soak else 3

    async def story() -> None:
        server, own = await own_clickhouse(server_settings, tmp_path / "clickhouse", "o")
        async with pipeline(own) as pipe:
            with sink(own) as process:
                await publish(pipe, 100)
                await must_be_stored_once(own)
                server.kill()
                started, sent, highest = monotonic(), 100, 0
                while monotonic() < started + away_s:
                    await publish(pipe, 500, sent, size=2000)
                    sent += 500
                    highest = max(highest, psutil.Process(process.pid).memory_info().rss)
                server = server.again()
                back = monotonic()
                found = await must_be_stored_once(own, CATCHES_UP_WITHIN * away_s + SETTLES_WITHIN_S)
                took = monotonic() - back
                highest = max(highest, psutil.Process(process.pid).memory_info().rss)
            assert found.stored == sent
            assert highest < MEMORY_LIMIT, f"the sink took {highest >> 20} MiB"
            note = f"{sent} events; sink at most {highest >> 20} MiB; caught up in {took:.1f} s"
            soak_report.add(found.row(f"ClickHouse away for {away_s} s under load", 1, monotonic() - started, note))
        assert server.stop() == 0

    asyncio.run(story())


def test_clickhouse_killed_while_the_sink_inserts_loses_and_doubles_nothing(
    server_settings: Settings, soak: bool, soak_report: SoakReport, tmp_path: Path
) -> None:
    """SIGKILL at moments that the load draws; each batch spans three days, so that an INSERT makes three parts."""
    kills = 10 if soak else 1

    async def story() -> None:
        server, own = await own_clickhouse(server_settings, tmp_path / "clickhouse", "k")
        async with pipeline(own) as pipe:
            with sink(own):
                sent = 0
                for kill in range(kills):
                    await pipe.until("SELECT count() FROM events_log", sent)
                    publishing = asyncio.create_task(publish(pipe, 2000, sent, days=3))
                    await asyncio.wait([publishing], timeout=0.03 * (kill + 1))  # a moment of the load for each kill
                    server.kill()
                    await publishing
                    sent += 2000
                    server = server.again()
                found = await must_be_stored_once(own)
            assert found.stored == sent
            soak_report.add(found.row("ClickHouse SIGKILL while the sink inserts", kills))
        assert server.stop() == 0

    asyncio.run(story())
