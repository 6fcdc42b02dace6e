"""Which cluster and which incarnation of a topic this is: the id that Kafka gives a topic when it is made (KIP-516).

aiokafka reads metadata up to version 5; topic ids are in version 10, so the request and answer are described here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields
from typing_extensions import override

from axonstream.kafka.client import kafka_options
from axonstream.kafka.errors import NoTopicError
from axonstream.settings.settings import Settings


class _Uuid:
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))

    @classmethod
    def repr(cls, value: UUID) -> str:
        return str(value)


_UUID: Any = _Uuid


class _MetadataResponse(Response):
    @property
    @override
    def API_KEY(self) -> int:
        return 3

    @property
    @override
    def API_VERSION(self) -> int:
        return 10

    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _UUID),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequestStruct(RequestStruct):
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _MetadataResponse
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _UUID), ("name", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):
    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> _MetadataRequestStruct:
        named = [(UUID(int=0), topic, {}) for topic in self._topics]
        return request_struct_class(named, False, False, False, {})


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """Two topics with the same identity are the same log: an offset means the same record in both."""

    cluster_id: str
    topic: str
    topic_id: str


async def topic_identities(settings: Settings, topics: Sequence[str]) -> list[TopicIdentity]:
    """Ask Kafka, in the order of `topics`.

    Raises NoTopicError when one does not exist, KafkaError when no broker answers.
    """
    admin = AIOKafkaAdminClient(**kafka_options(settings))
    try:
        await admin.start()
        answer: Any = await admin._send_request(_MetadataRequest(topics))
    finally:
        await admin.close()
    found = {name: str(topic_id) for error, name, topic_id, *_ in answer.topics if not error}
    for topic in topics:
        if topic not in found:
            raise NoTopicError(f"topic {topic} does not exist: run `axonstream init` first")
    return [TopicIdentity(answer.cluster_id, topic, found[topic]) for topic in topics]
