"""The log loses its end under live streams: no offset of a position is taken for the record that stood there before."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

from axonstream.gateway.live.position import Kind, former_position, mark_of, read_position
from axonstream.gateway.sealed_texts import SealedTexts, sealing_key
from axonstream.kafka.topic_identity import topic_identities
from axonstream.kafka.topics import Topics, event_key
from axonstream.settings.settings import Settings
from kit.cut_logs import lose_the_end
from kit.kafka_cluster import KafkaCluster
from kit.live_events import LiveResponse, live
from kit.live_gateways import KEYS, LiveGateways, live_gateways
from kit.sample_events import event_value
from kit.scraped import Scraped

pytestmark = pytest.mark.services

TRACES = ("tr_a", "tr_b")  # each on the partition of its place here
OLD = (0, 1, 2, 3, 4, 5)
CUT = 3  # of the first partition
PATHS = ("/live", "/traces/tr_a/live")


class Log:
    """agent-events, to which events are appended by hand; each is a batch, and its number is its id."""

    def __init__(self, cluster: KafkaCluster, gateways: LiveGateways) -> None:
        self.cluster = cluster
        self.gateways = gateways
        self.topic = Topics(gateways.settings.topic_prefix).events

    async def append(self, partition: int, *numbers: int) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.cluster.bootstrap_servers, acks="all") as producer:
            for number in numbers:
                value, key = event_value(TRACES[partition], number), event_key(TRACES[partition])
                await producer.send_and_wait(self.topic, value, key, partition)

    async def lose_the_end(self) -> None:
        await lose_the_end(self.cluster, self.topic, [0], CUT)


def client_of(gateways: LiveGateways) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=gateways.urls[0], timeout=60)


@asynccontextmanager
async def told_of_the_loss(client: httpx.AsyncClient, path: str, since: str) -> AsyncGenerator[LiveResponse]:
    """The stream, behind what it says of the loss."""
    async with live(client, path, since) as stream:
        gap = await stream.next()
        assert (gap.event, gap.data["reason"]) == ("gap", "lost_end")
        assert "missed" not in gap.data
        yield stream


async def ids(stream: LiveResponse, number: int) -> list[int]:
    received = await stream.take(number)
    assert {each.event for each in received} == {"message"}
    return [each.data["id"] for each in received]


async def position_of_all(log: Log, path: str) -> str:
    """Of a reader that has had all old events of its stream."""
    async with client_of(log.gateways) as client, live(client, path) as stream:
        for partition, numbers in ((1, (100, 101)), (0, OLD)):
            await log.append(partition, *numbers)
            if partition == 0 or path == "/live":
                assert await ids(stream, len(numbers)) == list(numbers)
        return stream.position


@pytest.mark.parametrize("path", PATHS)
def test_a_position_whose_record_is_lost_is_told_and_all_that_came_since_comes(
    one_broker: KafkaCluster, path: str
) -> None:
    """A gateway that was started since knows nothing of the loss, and the log has grown beyond the position."""

    async def scenario() -> None:
        log = Log(one_broker, gateways)
        position = await position_of_all(log, path)
        gateways.kill(0)
        await log.lose_the_end()
        new = list(range(10, 10 + 2 * CUT))
        await log.append(0, *new)
        await asyncio.to_thread(gateways.restart, 0)
        async with client_of(gateways) as client:
            async with told_of_the_loss(client, path, position) as stream:
                await log.append(0, 20)
                kept = list(OLD[:-CUT])
                assert await ids(stream, len(kept) + len(new) + 1) == [*kept, *new, 20]
                after = stream.position
            await log.append(0, 21)
            async with live(client, path, after) as stream:
                assert await ids(stream, 1) == [21], "nobody is told twice"
            assert Scraped(await client.get("/metrics")).value("live_gaps_total", reason="lost_end") == 1

    with live_gateways(one_broker.bootstrap_servers, partitions=2) as gateways:
        asyncio.run(scenario())


def seal_of(settings: Settings) -> SealedTexts:
    return SealedTexts(sealing_key(settings.model_copy(update={"api_keys": SecretStr(KEYS)}), "live positions"))


async def as_of_the_version_before(log: Log, position: str) -> str:
    """The same offsets, and no record."""
    settings = log.gateways.settings
    [identity] = await topic_identities(settings, [log.topic])
    mark = mark_of(identity.cluster_id, identity.topic_id)
    kind, places, _ = read_position(seal_of(settings).content("1", position), mark)
    offsets = [place.offset for place in places.values()]
    numbers = offsets if kind is Kind.VECTOR else [next(iter(places)), *offsets]
    return seal_of(settings).text("1", former_position(kind, mark, numbers)).decode()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("named", [True, pytest.param(False, marks=pytest.mark.soak)])
def test_a_position_beyond_the_end_of_the_log_is_told_and_what_comes_then_comes(
    one_broker: KafkaCluster, path: str, named: bool
) -> None:
    async def scenario() -> None:
        log = Log(one_broker, gateways)
        position = await position_of_all(log, path)
        if not named:
            position = await as_of_the_version_before(log, position)
            async with client_of(gateways) as client, live(client, path, position) as stream:
                await log.append(0, 6)
                assert await ids(stream, 1) == [6], "it is resumed from as ever"
        gateways.kill(0)
        await log.lose_the_end()
        await log.append(0, 10)
        await asyncio.to_thread(gateways.restart, 0)
        async with client_of(gateways) as client, told_of_the_loss(client, path, position) as stream:
            await log.append(0, 11)
            again = [*OLD[:-CUT], 10] if named else []
            assert await ids(stream, len(again) + 1) == [*again, 11]

    with live_gateways(one_broker.bootstrap_servers, partitions=2) as gateways:
        asyncio.run(scenario())


def test_a_gateway_that_has_read_nothing_yet_notices_that_the_log_behind_it_is_another(
    one_broker: KafkaCluster,
) -> None:
    """It is frozen while the log loses its end and grows beyond the offset at which it waits."""

    async def scenario() -> None:
        log = Log(one_broker, gateways)
        await log.append(0, *OLD)
        async with client_of(gateways) as client:
            async with live(client, "/live") as stream:
                position = stream.position
                gateways.processes[0].send_signal(signal.SIGSTOP)
                try:
                    await log.lose_the_end()
                    await log.append(0, 10, 11, 12, 13)
                finally:
                    gateways.processes[0].send_signal(signal.SIGCONT)
                with pytest.raises(EOFError):
                    await stream.next(60)
            async with told_of_the_loss(client, "/live", position) as stream:
                assert (await ids(stream, len(OLD) - CUT + 4))[-4:] == [10, 11, 12, 13]

    with live_gateways(one_broker.bootstrap_servers, partitions=2) as gateways:
        asyncio.run(scenario())
