"""Control data on real Kafka: written once, known to every gateway, and known again after any restart."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from axonstream.gateway.control import log as control_log
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.log import ControlLog
from axonstream.gateway.control.records import App, Channel, ControlRecord, Kind, Place, encode_record, new_id
from axonstream.gateway.control.same_log import TOMBSTONES_S
from axonstream.gateway.http.errors import UnavailableError
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topic_admin import make_topics
from axonstream.kafka.topics import Topics
from axonstream.local.free_ports import free_port
from axonstream.process.boot_clock import boot_clock
from axonstream.settings.settings import Settings
from kit.audit_entries import an_entry
from kit.control_followers import following
from kit.until import until

pytestmark = pytest.mark.services

_KEY = b'{"id":9,"digest":"%b","secret_id":"","name":"n","creator":"c","scopes":["read"],"public":false,"created_at":5}'


def app(name: str, number: int = 7) -> ControlRecord:
    return ControlRecord(Place(Kind.APP, "1", number), App(number, name, 5, 5))


def gone(number: int = 7) -> ControlRecord:
    return ControlRecord(Place(Kind.APP, "1", number), None)


def test_a_write_is_known_here_at_once_there_within_a_second_and_to_who_starts_later(
    server_settings: Settings,
) -> None:
    """Kafka answers the other one's fetch as soon as there is a record; whatever else it waits for is shorter."""
    assert control_log._LOOK_MS < 1000

    async def scenario() -> None:
        async with following(server_settings) as one, following(server_settings) as other:
            for name in ("first", "second"):
                await one.write([app(name)], an_entry())
                assert one.data.tenant("1").apps[7].name == name
                await until(lambda name=name: other.data.tenant("1").apps.get(7) == App(7, name, 5, 5), name, 60)
            async with following(server_settings) as later:
                assert later.data.tenant("1").apps[7].name == "second"
            await other.write([gone()], an_entry())
            await one.catch_up()
            assert 7 not in one.data.tenant("1").apps
        async with following(server_settings) as restarted:
            assert 7 not in restarted.data.tenant("1").apps

    asyncio.run(scenario())


def test_two_that_write_at_once_end_with_the_same(server_settings: Settings) -> None:
    async def scenario() -> None:
        async with following(server_settings) as one, following(server_settings) as other:
            places = [Place(Kind.CHANNEL, tenant, new_id()) for tenant in ("1", "a/b", "é") for _ in range(20)]

            async def write(control: ControlLog, name: str) -> None:
                for place in places:
                    await control.write([ControlRecord(place, Channel(place.id, 1, name, 5, 5))], an_entry())

            await asyncio.gather(write(one, "one"), write(other, "other"))
            await one.catch_up()
            await other.catch_up()
            ends = [
                [control.data.tenant(place.tenant_id).made_channels[place.id] for place in places]
                for control in (one, other)
            ]
            assert ends[0] == ends[1]

    asyncio.run(scenario())


def test_what_is_none_of_ours_is_left_out(server_settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        topic = Topics(server_settings.topic_prefix).control
        async with AIOKafkaProducer(**kafka_options(server_settings)) as producer:
            for key, value in (
                (b"app/1/7", b"[]"),
                (b"app/1/7", b"\xff"),
                (b"app/1/seven", b"{}"),
                (b"later-kind/1/7", b"{}"),
                (b"key/1/8", b'{"id":8}'),
                (b"key/1/9", _KEY % b"no digest"),
            ):
                await producer.send_and_wait(topic, value, key)
        async with following(server_settings) as control:
            assert set(control.data.tenant("1").apps) == {1}
            await control.write([app("good")], an_entry())
            assert control.data.tenant("1").apps[7].name == "good"

    asyncio.run(scenario())
    assert caplog.text.count("is left out") == 6


def test_the_broker_takes_off_what_compression_a_foreign_sender_uses(server_settings: Settings) -> None:
    """One record in a codec that is not installed here, and no gateway would read on."""

    async def scenario() -> None:
        topic = Topics(server_settings.topic_prefix).control
        admin = AIOKafkaAdminClient(**kafka_options(server_settings))
        await admin.start()
        try:
            asked = ConfigResource(ConfigResourceType.TOPIC, topic, {"compression.type": ""})
            answer: Any
            [answer] = await admin.describe_configs([asked])
        finally:
            await admin.close()
        entries = [entry for resource in answer.resources for entry in resource[4]]
        assert {entry[0]: entry[1] for entry in entries}["compression.type"] == "uncompressed"

    asyncio.run(scenario())


def test_without_kafka_a_write_is_refused_in_time_and_what_was_read_stays(server_settings: Settings) -> None:
    nowhere = server_settings.model_copy(
        update={"kafka_bootstrap_servers": f"127.0.0.1:{free_port()}", "publish_timeout_ms": 500}
    )

    async def scenario() -> None:
        control = ControlLog(nowhere, ControlData())
        starting = asyncio.create_task(control.start())
        began = monotonic()
        with pytest.raises(UnavailableError, match="did not acknowledge"):
            await control.write([app("never")], an_entry())
        assert monotonic() - began < 20
        assert not control.data.loaded
        assert control.state() != "ok"
        starting.cancel()
        await control.stop()

    asyncio.run(scenario())


def test_a_topic_that_was_made_anew_is_read_anew(server_settings: Settings) -> None:
    async def scenario() -> None:
        topic = Topics(server_settings.topic_prefix).control
        async with following(server_settings) as control:
            await control.write([app("old", number) for number in (7, 8, 9)], an_entry())
            admin = AIOKafkaAdminClient(**kafka_options(server_settings))
            await admin.start()
            try:
                await admin.delete_topics([topic])
            finally:
                await admin.close()
            await make_topics(server_settings)
            async with following(server_settings) as other:
                await other.write([app("new")], an_entry())
            await until(
                lambda: control.data.tenant("1").apps.get(7) == App(7, "new", 5, 5), "the new topic is read", 60
            )
            assert set(control.data.tenant("1").apps) == {1, 7}

    asyncio.run(scenario())


@pytest.mark.parametrize(("hours", "stays"), [(11, True), (13, False)])
def test_a_gateway_that_slept_for_half_as_long_as_tombstones_are_kept_reads_all_anew(
    server_settings: Settings, hours: int, stays: bool
) -> None:
    """Its connection may outlive the sleep. The tombstone of an app that it knows has been compacted away meanwhile."""
    assert TOMBSTONES_S == 24 * 3600

    async def scenario() -> None:
        async with following(server_settings) as control:
            await control.write([app("kept")], an_entry())
            control.data.read(*encode_record(app("deleted while it slept", 8)))
            control._same_log._clock = lambda: boot_clock() + hours * 3600
            looked_at = control._same_log._look_at
            await until(lambda: control._same_log._look_at > looked_at + 3600, "it has woken up", 20)
            if not stays:
                await until(lambda: set(control.data.tenant("1").apps) == {1, 7}, "it has read all anew", 20)
            await control.write([app("later", 9)], an_entry())
            assert set(control.data.tenant("1").apps) == ({1, 7, 8, 9} if stays else {1, 7, 9})

    asyncio.run(scenario())
