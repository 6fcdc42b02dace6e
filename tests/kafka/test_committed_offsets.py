"""A coordinator that does not tell what is committed is asked again: it has not said that nothing is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NotCoordinatorForGroupError
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchResponse_v3
from aiokafka.structs import OffsetAndMetadata

from axonstream.kafka.client import kafka_options
from axonstream.kafka.committed_offsets import group_offsets, heed_whole_answers
from axonstream.settings.settings import Settings
from kit.sink_process import pipeline

pytestmark = pytest.mark.services

LOADING, MOVED = 14, 16  # the coordinator reads its log after it has started, or is another broker now
COMMITTED = OffsetAndMetadata(7, "note")


def answer_first(client: Any, codes: list[int]) -> None:
    """The first answers to OffsetFetch are these codes without a partition, as of a broker that loads."""
    send = client.send

    async def answering(node_id: int, request: Any, **options: Any) -> Any:
        if isinstance(request, OffsetFetchRequest) and codes:
            return OffsetFetchResponse_v3(0, [], codes.pop(0))
        return await send(node_id, request, **options)

    client.send = answering


@pytest.mark.parametrize("heed", [True, False])
def test_a_consumer_asks_again(heed: bool, server_settings: Settings) -> None:
    """Without it the answer is that nothing is committed: this test would notice a library that is mended."""

    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            tp = TopicPartition(pipe.topics.events, 0)
            consumer = AIOKafkaConsumer(
                **kafka_options(server_settings), group_id=f"{pipe.topics.events}-asks", enable_auto_commit=False
            )
            await consumer.start()
            try:
                consumer.assign([tp])
                await consumer.commit({tp: COMMITTED})
                if heed:
                    heed_whole_answers(consumer)
                codes = [LOADING, MOVED, LOADING]
                answer_first(consumer._client, codes)
                coordinator: Any = consumer._coordinator
                async with asyncio.timeout(30):
                    found = await coordinator.fetch_committed_offsets([tp])
                assert found == ({tp: COMMITTED} if heed else {})
                assert len(codes) == (0 if heed else 2)
            finally:
                await consumer.stop()

    asyncio.run(story())


def test_an_admin_says_that_it_does_not_know(server_settings: Settings) -> None:
    async def story() -> None:
        async with pipeline(server_settings) as pipe:
            tp = TopicPartition(pipe.topics.events, 0)
            admin = AIOKafkaAdminClient(**kafka_options(server_settings))
            await admin.start()
            try:
                known = await group_offsets(admin, pipe.topics.sink_group, [tp])
                assert known[tp].offset == 0
                answer_first(admin._client, [LOADING])
                with pytest.raises(NotCoordinatorForGroupError):
                    await group_offsets(admin, pipe.topics.sink_group, [tp])
                assert await group_offsets(admin, pipe.topics.sink_group, [tp]) == known
                nobody = await group_offsets(admin, f"{pipe.topics.events}-nobody", [tp])
                assert nobody[tp].offset == -1
            finally:
                await admin.close()

    asyncio.run(story())
