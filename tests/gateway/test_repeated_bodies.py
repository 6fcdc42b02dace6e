"""A body that a client sends again after a 503, or without an answer, is the publish that it was at first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest
from gateway_in_process import gateway_in_process

from axonstream.contract.event_record import EventRecord
from axonstream.gateway.publishing import repeated_bodies
from axonstream.gateway.publishing.repeated_bodies import Answer, Attempt, Drawn, RepeatedBodies
from axonstream.kafka.errors import NotAcknowledgedError
from axonstream.producers.append import Append
from axonstream.settings.settings import Settings
from kit.log_ends import records_on_kafka
from kit.lost_answers import Answers, lost_answers
from kit.offline_gateway import HEADERS, MemoryLog, OfflineGateway
from kit.until import until

EVENT = {"identifier": "tick", "payload": {"n": 1}, "channel_id": 1}
BULK = [EVENT, EVENT | {"identifier": "tock"}, EVENT | {"traceId": "tr_1"}]
CALLS: list[tuple[str, Any]] = [("/event", EVENT), ("/events", BULK)]


@dataclass
class SlowLog(MemoryLog):
    """Acknowledges when it is told to; with `in_time` false its callers are told at once that it was too late.

    With `sends` false, Kafka is sent nothing.
    """

    in_time: bool = True
    sends: bool = True
    appends: list[Sequence[EventRecord]] = field(default_factory=list)
    fates: list[Append] = field(default_factory=list)

    async def append(self, records: Sequence[EventRecord]) -> int | None:
        append = Append(asyncio.get_running_loop().create_future(), len(records), 0.0)
        append.under_way = len(records) if self.sends else 0
        self.appends.append(records)
        self.fates.append(append)
        if not self.in_time:
            append.fail("Kafka did not acknowledge within 10 ms")
        await append.ended
        if append.failure:
            raise NotAcknowledgedError(append.failure, append)
        return append.at_ms

    def acknowledge(self, number: int = -1, at_ms: int | None = None) -> None:
        """All records of that append."""
        self.fates[number].acknowledge(list(range(len(self.appends[number]))), at_ms)


@asynccontextmanager
async def gateway(**changes: Any) -> AsyncGenerator[tuple[httpx.AsyncClient, SlowLog]]:
    offline = OfflineGateway(SlowLog(), **changes)
    async with asyncio.timeout(60), offline.client() as client:
        assert isinstance(offline.log, SlowLog)
        yield client, offline.log


def posting(
    client: httpx.AsyncClient, path: str, body: Any, headers: dict[str, str] = HEADERS
) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(client.post(path, json=body, headers=headers))


async def appended(log: SlowLog, number: int) -> None:
    await until(lambda: len(log.appends) == number, f"{number} appends", 60)


async def turns() -> None:
    """Long enough for a request that is not held up to come to its append."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
def late_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every publish that is under way is late."""
    monkeypatch.setattr(repeated_bodies, "LATE_S", 0.0)


@pytest.mark.usefixtures("late_at_once")
@pytest.mark.parametrize(("path", "body"), CALLS)
def test_a_body_that_comes_again_while_the_first_is_late_is_one_append_and_one_answer(path: str, body: Any) -> None:
    async def scenario() -> None:
        async with gateway() as (client, log):
            first = posting(client, path, body)
            await appended(log, 1)
            again = [posting(client, path, body) for _ in range(2)]
            await turns()
            log.acknowledge()
            answers = [await one for one in (first, *again)]
            assert len(log.appends) == 1
            assert {answer.content for answer in answers} == {answers[0].content}
            assert all(answer.is_success for answer in answers)

    asyncio.run(scenario())


@pytest.mark.usefixtures("late_at_once")
def test_a_late_first_that_is_not_acknowledged_ends_all_that_joined_it() -> None:
    async def scenario() -> None:
        async with gateway() as (client, log):
            first = posting(client, "/event", EVENT)
            await appended(log, 1)
            again = posting(client, "/event", EVENT)
            await turns()
            log.fates[0].fail("too late")
            assert [(await one).status_code for one in (first, again)] == [503, 503]
            assert len(log.appends) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(("path", "body"), CALLS)
def test_equal_bodies_at_the_same_time_are_publishes_of_their_own_while_kafka_is_well(path: str, body: Any) -> None:
    async def scenario() -> None:
        async with gateway() as (client, log):
            both = [posting(client, path, body) for _ in range(2)]
            await appended(log, 2)
            log.acknowledge(0)
            log.acknowledge(1)
            first, second = [(await one).json() for one in both]
            assert first != second

    asyncio.run(scenario())


@pytest.mark.usefixtures("late_at_once")
@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/event", EVENT | {"payload": {"n": 2}}, {}),
        ("/event", EVENT, {"X-API-Key": "ak_other", "x-tenant-id": "2"}),
        ("/event", EVENT, {"X-Axonpush-Environment": "staging"}),
        ("/event", EVENT, {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}),
        ("/events", EVENT, {}),
    ],
)
def test_what_differs_in_body_key_call_or_header_joins_nothing(path: str, body: Any, headers: dict[str, str]) -> None:
    async def scenario() -> None:
        async with gateway() as (client, log):
            posts = [posting(client, "/event", EVENT)]
            await appended(log, 1)
            posts.append(posting(client, path, [body] if path == "/events" else body, HEADERS | headers))
            await appended(log, 2)
            log.acknowledge(0)
            log.acknowledge(1)
            assert all([(await one).is_success for one in posts])

    asyncio.run(scenario())


@pytest.mark.parametrize(("path", "body"), CALLS)
def test_a_body_that_comes_again_after_503_waits_for_the_first_and_has_its_answer(path: str, body: Any) -> None:
    """Finding 10: a broker that stalled for 40 s made up to four events of one."""

    async def scenario() -> None:
        async with gateway() as (client, log):
            log.in_time = False
            assert (await posting(client, path, body)).status_code == 503
            again = posting(client, path, body)
            await turns()
            assert not again.done()
            log.acknowledge()
            answer = (await again).json()
            assert len(log.appends) == 1
            ids = [record.event_id for record in log.appends[0]]
            assert (answer["ids"] if path == "/events" else [answer["id"]]) == ids
            log.in_time = True
            another = posting(client, path, body)  # after it was acknowledged, the same bytes are another publish
            await appended(log, 2)
            log.acknowledge()
            assert (await another).is_success
            assert {record.event_id for record in log.appends[1]}.isdisjoint(ids)

    asyncio.run(scenario())


@pytest.mark.parametrize(("path", "body"), CALLS)
def test_what_kafka_has_not_is_published_again_as_the_same_events(path: str, body: Any) -> None:
    async def scenario() -> None:
        async with gateway() as (client, log):
            log.in_time = False
            assert (await posting(client, path, body)).status_code == 503
            log.in_time = True
            again = posting(client, path, body)
            await turns()
            log.fates[0].refuse(list(range(len(log.appends[0]))), "KafkaError()")
            await appended(log, 2)
            log.acknowledge()
            assert (await again).is_success
            assert log.appends[1] == log.appends[0]

    asyncio.run(scenario())


def test_what_kafka_took_after_a_503_has_its_time_in_the_answer_to_the_retry() -> None:
    async def scenario() -> None:
        async with gateway() as (client, log):
            log.in_time = False
            assert (await posting(client, "/event", EVENT)).status_code == 503
            log.acknowledge(at_ms=1_700_000_000_123)
            answer = await posting(client, "/event", EVENT)
            assert answer.json()["createdAt"] == "2023-11-14T22:13:20.123Z"
            assert len(log.appends) == 1

    asyncio.run(scenario())


def test_of_a_bulk_of_which_kafka_has_a_part_the_others_are_published() -> None:
    async def scenario() -> None:
        async with gateway() as (client, log):
            log.in_time = False
            assert (await posting(client, "/events", BULK)).status_code == 503
            fate = log.fates[0]
            fate.under_way -= 1  # the second was not sent
            fate.acknowledge([0], None)
            fate.acknowledge([2], None)
            assert (await posting(client, "/events", BULK)).status_code == 503
            assert log.appends[1] == [log.appends[0][1]]
            log.acknowledge()
            answer = (await posting(client, "/events", BULK)).json()
            assert len(log.appends) == 2
            assert answer["ids"] == [record.event_id for record in log.appends[0]]

    asyncio.run(scenario())


def test_what_was_never_sent_is_a_publish_of_its_own() -> None:
    """Of many equal ones that waited together, those that Kafka may have are joined alone: none is lost."""

    async def scenario() -> None:
        async with gateway() as (client, log):
            log.in_time = log.sends = False
            assert (await posting(client, "/event", EVENT)).status_code == 503
            log.in_time = True
            again = posting(client, "/event", EVENT)
            await appended(log, 2)
            log.acknowledge()
            assert (await again).is_success
            assert log.appends[0][0].event_id != log.appends[1][0].event_id

    asyncio.run(scenario())


def test_as_long_as_kafka_says_nothing_it_is_503_in_time_and_still_the_same_publish() -> None:
    async def scenario() -> None:
        async with gateway(publish_timeout_ms=20) as (client, log):
            log.in_time = False
            for _ in range(3):
                assert (await posting(client, "/event", EVENT)).status_code == 503
            log.acknowledge()
            answer = (await posting(client, "/event", EVENT)).json()
            assert [answer["id"]] == [record.event_id for append in log.appends for record in append]

    asyncio.run(scenario())


def test_events_with_a_dedup_key_are_not_remembered() -> None:
    """They are the same event anyway, and would push out those that need it."""

    async def scenario() -> None:
        async with gateway() as (client, log):
            log.in_time = False
            for _ in range(2):
                assert (
                    await posting(client, "/event", EVENT | {"dedupKey": "k", "traceId": "tr_1"})
                ).status_code == 503
            assert len(log.appends) == 2
            assert log.appends[0][0].event_id == log.appends[1][0].event_id

    asyncio.run(scenario())


class _Never:
    """The fate of what Kafka does not answer for."""

    def may_be_stored(self) -> bool:
        return True

    async def stored(self) -> Mapping[int, int | None]:
        return {}


def refused(events: int) -> Callable[[Attempt], Awaitable[Answer]]:
    """A publish without an answer, of which the first time `first` is what was drawn."""

    async def publish(attempt: Attempt) -> Answer:
        attempt.drawn = attempt.first or {place: Drawn(place, "tr_1", 0) for place in range(events)}
        attempt.sent = range(events)
        raise NotAcknowledgedError("too late", _Never())

    return publish


@pytest.mark.parametrize("bound", ["age", "events"])
def test_what_is_remembered_is_bounded_in_age_and_number(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    firsts: list[bool] = []
    monkeypatch.setattr(repeated_bodies, "MOST_EVENTS", 30)
    repeats = RepeatedBodies(lambda: now, 1.0)

    async def once(body: bytes, events: int) -> None:
        publish = refused(events)

        async def seen(attempt: Attempt) -> Answer:
            firsts.append(bool(attempt.first))
            return await publish(attempt)

        with pytest.raises(NotAcknowledgedError):
            await repeats.once(("/events",), body, seen)

    async def scenario() -> None:
        nonlocal now
        await once(b"first", 10)
        await once(b"second", 10)
        if bound == "age":
            now += repeated_bodies.REMEMBERED_S
        else:
            await once(b"large", 25)
        await once(b"first", 10)
        await once(b"second", 10)
        await once(b"second", 10)
        assert firsts[-3:] == [False, False, True]

    asyncio.run(scenario())


@pytest.mark.services
def test_a_503_that_is_sent_again_is_one_event_on_kafka(server_settings: Settings) -> None:
    async def scenario() -> None:
        async with lost_answers(server_settings.kafka_bootstrap_servers) as proxy:
            behind: dict[str, Any] = {"kafka_bootstrap_servers": proxy.address, "publish_timeout_ms": 1000}
            body = orjson.dumps(EVENT)
            async with gateway_in_process(server_settings, **behind) as client:
                warm = await client.post("/event", json=EVENT | {"identifier": "first"}, headers=HEADERS)
                assert warm.is_success
                before = await records_on_kafka(server_settings)
                proxy.answers = Answers.HOLD
                statuses = [(await client.post("/event", content=body, headers=HEADERS)).status_code for _ in range(2)]
                assert statuses == [503, 503]
                proxy.answers = Answers.PASS

                async def answered() -> bool:
                    return (await client.post("/event", content=body, headers=HEADERS)).is_success

                await until(answered, "an answer", 60)
                assert await records_on_kafka(server_settings) == before + 1

    asyncio.run(scenario())
