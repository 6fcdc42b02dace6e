"""How far the pipeline is behind, told by offsets and one clock, and what is said when it stands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from gateway_in_process import gateway_in_process

from axonstream.gateway.reading import pipeline_lag
from axonstream.gateway.reading.lag_history import _MOST_LOOKS, STANDS_S, LagHistory, Progress
from axonstream.gateway.reading.pipeline_lag import PipelineLag
from axonstream.gateway.reading.pipeline_offsets import PipelineOffsets, PipelineOffsetsError
from axonstream.settings.settings import Settings
from kit.log_ends import log_ends
from kit.offline_gateway import HEADERS
from kit.until import until

RETENTION_S = 1000.0


class Told(NamedTuple):
    end: int
    asked_at: float = 0.0


class ScriptedOffsets:
    """One partition whose log, sink and watermark are where the test puts them, and an idle one.

    With `silent` no leader answers, with `no_leader` that of the first partition does not.
    """

    partitions = range(2)

    def __init__(self) -> None:
        self.end = self.stored = self.folded = 0
        self.silent = self.no_leader = False
        self.asked_for_old = 0
        self.appended_ms = 0

    async def told_ends(self) -> dict[int, Told]:
        if self.silent:
            raise PipelineOffsetsError("Kafka cannot be reached")
        return {1: Told(0)} if self.no_leader else {0: Told(self.end), 1: Told(0)}

    async def progress(self) -> dict[int, Progress]:
        return {0: Progress(self.stored, self.folded), 1: Progress(0, 0)}

    async def appended_at_ms(self, places: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], int]:
        assert not self.no_leader
        self.asked_for_old += 1
        return dict.fromkeys(places, self.appended_ms)


class Watched:
    """A lag whose time is the test's; a look each time it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("axonstream.gateway.shared_look.EVERY_S", 0.0)
        self.now = 100.0
        self.offsets = ScriptedOffsets()
        self.lag = PipelineLag(self.offsets, RETENTION_S, lambda: self.now, lambda: round(self.now * 1000))

    async def after(self, seconds: float) -> pipeline_lag.PipelineState:
        self.now += seconds
        with suppress(PipelineOffsetsError):
            await self.lag.looked(5)
        return self.lag.state()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


def test_the_lags_are_the_ages_of_the_oldest_events_that_wait(watched: Watched) -> None:
    async def scenario() -> None:
        await watched.after(0)
        watched.offsets.end = 10
        assert (await watched.after(1))[:3] == ("ok", 0.0, 0.0)  # it came with this look
        watched.offsets.end = 20
        watched.offsets.stored, watched.offsets.folded = 15, 5
        assert (await watched.after(4))[:3] == ("ok", 0.0, 4.0)
        assert (await watched.after(5))[:3] == ("ok", 5.0, 9.0)
        watched.offsets.stored = watched.offsets.folded = 20
        assert (await watched.after(1))[:3] == ("ok", 0.0, 0.0)

    asyncio.run(scenario())


@pytest.mark.parametrize("which", ["stored", "folded"])
def test_it_stands_when_something_waits_and_does_not_move(watched: Watched, which: str) -> None:
    """Finding 9: a sink that had ended was one line on a terminal; Kafka's retention then deleted what was unread."""

    async def scenario() -> None:
        await watched.after(0)
        watched.offsets.end = watched.offsets.stored = watched.offsets.folded = 10
        setattr(watched.offsets, which, 9)
        assert (await watched.after(1)).state == "ok"
        assert (await watched.after(STANDS_S - 1)).state == "ok"
        state = await watched.after(1)
        assert state.state.startswith("stands")
        assert state.standing_s == STANDS_S
        watched.offsets.end = 11
        setattr(watched.offsets, which, 10)  # behind still, and moving
        assert (await watched.after(1)).state == "ok"

    asyncio.run(scenario())


def test_an_idle_pipeline_does_not_stand(watched: Watched) -> None:
    async def scenario() -> None:
        watched.offsets.end = watched.offsets.stored = watched.offsets.folded = 10
        for _ in range(3):
            assert (await watched.after(10 * STANDS_S))[:3] == ("ok", 0.0, 0.0)

    asyncio.run(scenario())


def test_what_waited_before_the_gateway_began_is_as_old_as_kafka_says(watched: Watched) -> None:
    async def scenario() -> None:
        watched.offsets.end, watched.offsets.stored, watched.offsets.folded = 10, 5, 5
        watched.offsets.appended_ms = round((watched.now - 600) * 1000)
        await watched.after(0)
        state = await watched.after(1)
        assert state[1:3] == (601.0, 601.0)
        assert state.state.startswith("behind by more than a tenth of Kafka's retention")
        await watched.after(1)
        assert watched.offsets.asked_for_old == 1  # its place has not changed

    asyncio.run(scenario())


def test_without_kafka_the_lag_is_not_known(watched: Watched) -> None:
    async def scenario() -> None:
        assert (await watched.after(0)).state == "ok"
        watched.offsets.silent = True
        state = await watched.after(1)
        assert state[:3] == ("not known: Kafka cannot be reached", None, None)
        watched.offsets.silent = False
        assert (await watched.after(1)).state == "ok"
        watched.now += 2 * STANDS_S  # nobody has looked since
        assert watched.lag.state().state.startswith("not known")

    asyncio.run(scenario())


def test_a_partition_without_a_leader_is_named_and_the_lag_stays_known(watched: Watched) -> None:
    """It was "not known", for all of them, and the gateway was not ready."""

    async def scenario() -> None:
        watched.offsets.end, watched.offsets.stored, watched.offsets.folded = 10, 10, 5
        await watched.after(0)
        watched.offsets.no_leader = True
        state = await watched.after(STANDS_S)
        assert state.state.startswith("no leader answers for partition 0 of the events")
        assert state[1:] == (0.0, STANDS_S, STANDS_S)  # what waits in it is as late as before
        watched.offsets.no_leader, watched.offsets.folded = False, 10
        assert (await watched.after(1)).state == "ok"

    asyncio.run(scenario())


def test_the_log_warns_of_a_pipeline_that_stands_and_says_when_it_moves(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pipeline_lag, "LOOK_S", 0.0)

    def said(text: str) -> bool:
        return any(text in record.getMessage() for record in caplog.records)

    async def scenario() -> None:
        watched.offsets.end = 10
        looking = asyncio.create_task(watched.lag.run())
        await until(lambda: watched.lag.state().state == "ok", "a look", 60)
        watched.now += STANDS_S
        await until(lambda: said("stands: nothing moves"), "a warning", 60)
        watched.offsets.stored = watched.offsets.folded = 10
        await until(lambda: said("well again"), "the end of it", 60)
        looking.cancel()
        await asyncio.wait([looking])

    with caplog.at_level(logging.WARNING, "axonstream.gateway.reading.pipeline_lag"):
        asyncio.run(scenario())
    assert len(caplog.records) == 2


def test_a_history_of_months_stays_small_and_true_to_a_part() -> None:
    history = LagHistory()
    history.see(0.0, {0: 0}, {0: Progress(0, 0)})
    for number in range(1, 20_000):
        history.see(10.0 * number, {0: number}, {0: Progress(100, number)})
    assert history.lag_s("summaries") == 0.0
    assert 0.95 < history.lag_s("events") / (10.0 * (19_999 - 101)) <= 1.0
    assert len(history._looks) <= _MOST_LOOKS


def test_another_log_begins_another_history() -> None:
    history = LagHistory()
    history.see(0.0, {0: 100}, {0: Progress(90, 90)})
    history.see(STANDS_S, {0: 1}, {0: Progress(0, 0)})
    assert history.lag_s("events") == 0.0
    assert history.standing() == (0.0, [])


@pytest.mark.services
def test_readiness_says_that_nothing_moves_and_publishing_stays_ready(
    server_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No sink and no processor reads these topics."""
    monkeypatch.setattr("axonstream.gateway.shared_look.EVERY_S", 0.0)
    monkeypatch.setattr("axonstream.gateway.reading.lag_history.STANDS_S", 0.2)

    async def scenario() -> None:
        async with gateway_in_process(server_settings) as client:

            async def pipeline(status: str) -> dict[str, Any]:
                answer = await client.get("/health/ready")
                assert answer.status_code == 200
                return answer.json()["parts"]["pipeline"] | {"as told": answer.json()["status"] == status}

            assert (await pipeline("ok"))["as told"]
            event = {"identifier": "a", "payload": {}, "channel_id": 1}
            assert (await client.post("/event", json=event, headers=HEADERS)).is_success

            async def stands() -> bool:
                seen = await pipeline("degraded")
                assert seen["eventsLagSeconds"] >= 0
                return seen["state"].startswith("stands") and seen["as told"]

            await until(stands, "it says that nothing moves", 60)
        [partition] = [p for p, end in (await log_ends(server_settings)).items() if end]
        offsets = PipelineOffsets(server_settings)
        try:
            found = await offsets.appended_at_ms([(partition, 0)])
        finally:
            await offsets.close()
        assert found.keys() == {(partition, 0)}
        assert found[partition, 0] > 1_700_000_000_000

    asyncio.run(scenario())
