"""The control topic loses its end and grows again: gateways and sinks know what the log of now has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from axonstream.contract.deletion import CONTROL_KEYS, DELETION_FORM, Deletion, Late
from axonstream.gateway.control.api_keys import NewKey, make_key, revocation
from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.control.log import ControlLog
from axonstream.gateway.control.records import App, ControlRecord, Kind, Place
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topic_admin import make_topics
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.deleting.control_deletions import following as following_deletions
from kit.audit_entries import an_entry
from kit.control_followers import following
from kit.cut_logs import lose_the_end
from kit.kafka_cluster import KafkaCluster
from kit.until import until

pytestmark = pytest.mark.services

ROW = b"audit/1"


def frozen(meanwhile: Coroutine[Any, Any, None]) -> None:
    """Nothing in this event loop runs until `meanwhile` is done, as in a process that is stopped."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, meanwhile).result()


def a_key(control: ControlLog, name: str) -> NewKey:
    return make_key(
        control.data,
        b"",
        tenant_id="1",
        name=name,
        creator="a test",
        scopes=[KeyScope.READ],
        public=False,
        now_ms=time.time_ns() // 1_000_000,
        expires_at=None,
    )


def names(control: ControlLog) -> set[str]:
    return {key.name for _, key, _ in control.data.api_keys()}


def test_a_revocation_at_the_offset_of_a_lost_change_is_not_missed(one_broker: KafkaCluster) -> None:
    settings = Settings(kafka_bootstrap_servers=one_broker.bootstrap_servers, topic_prefix=f"t{uuid4().hex[:8]}-")

    async def lose_the_last_change(revoked: NewKey) -> None:
        await lose_the_end(one_broker, Topics(settings.topic_prefix).control, [0], 1)
        async with following(settings) as other:
            assert names(other) == {"lost", "revoked"}
            await other.write(revocation("1", revoked.kept.id), an_entry())
            for number in (7, 8):
                await other.write([ControlRecord(Place(Kind.APP, "1", number), App(number, "new", 5, 5))], an_entry())

    async def scenario() -> None:
        await make_topics(settings)
        async with following(settings) as control:
            lost, revoked = a_key(control, "lost"), a_key(control, "revoked")
            for key in (lost, revoked):
                await control.write([key.record], an_entry())
            await control.write(revocation("1", lost.kept.id), an_entry())
            assert names(control) == {"revoked"}
            read_up_to, entries = control.offset, len(control.data.audit)
            frozen(lose_the_last_change(revoked))
            await until(lambda: set(control.data.tenant("1").apps) >= {7, 8}, "the new end is read", 60)
            async with following(settings) as fresh:
                assert fresh.offset > read_up_to, "the log has grown over what was lost"
                assert names(control) == names(fresh) == {"lost"}, "the revocation that was lost has to be made again"
                assert len(control.data.audit) == len(fresh.data.audit) == entries - 1 + 3

    asyncio.run(scenario())


def test_a_sink_does_not_miss_a_deletion_at_the_offset_of_a_lost_one(one_broker: KafkaCluster) -> None:
    """Nothing comes after it that would show that the log is another one."""
    settings = Settings(kafka_bootstrap_servers=one_broker.bootstrap_servers, topic_prefix=f"t{uuid4().hex[:8]}-")
    topic = Topics(settings.topic_prefix).control

    async def ask(number: int) -> None:
        deletion = Deletion(number, (f"tr_{number}",), Late.REFUSED, time.time_ns() // 1_000_000)
        async with AIOKafkaProducer(**kafka_options(settings)) as producer:
            key, value = b"%s1/%d" % (CONTROL_KEYS, number), DELETION_FORM.dump_json(deletion)
            await producer.send_and_wait(topic, value, key=key)

    async def lose_the_last_one_and_ask_for_another() -> None:
        await lose_the_end(one_broker, topic, [0], 1)
        await ask(3)

    async def scenario() -> None:
        await make_topics(settings)
        await ask(1)
        await ask(2)
        async with following_deletions(settings) as deletions:
            assert deletions.recorded.keys() == {1, 2}
            frozen(lose_the_last_one_and_ask_for_another())
            await until(lambda: 3 in deletions.recorded, "the deletion that came after the loss is known", 60)

    asyncio.run(scenario())
