"""The audit log as it is read: from the control topic, from its start to where it ends now."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from axonstream.gateway.control.audit_entry import AuditEntry, decode_entry, is_entry
from axonstream.gateway.control.records import ControlRecordError
from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings

_LOOK_MS = 500


class AuditLog(NamedTuple):
    """`entries` in the order in which Kafka took them; `unreadable` counts what no version of axonstream wrote."""

    entries: list[AuditEntry]
    unreadable: int


async def read_newest(settings: Settings, limit: int, wanted: Callable[[AuditEntry], bool]) -> AuditLog:
    """The newest `limit` entries that are wanted; memory is that of those. Raises KafkaError and OSError."""
    partition = TopicPartition(Topics(settings.topic_prefix).control, 0)
    found: dict[bytes, AuditEntry] = {}
    unreadable: set[bytes] = set()
    consumer = AIOKafkaConsumer(**kafka_options(settings), enable_auto_commit=False, auto_offset_reset="none")
    try:
        await consumer.start()
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        position = (await consumer.beginning_offsets([partition]))[partition]
        consumer.seek(partition, position)
        while position < end:
            batches = await consumer.getmany(partition, timeout_ms=_LOOK_MS)
            for record in batches.get(partition, ()):
                key: bytes = record.key or b""
                if not is_entry(key):
                    continue
                found.pop(key, None)
                unreadable.discard(key)
                if record.value is None:
                    continue
                try:
                    one = decode_entry(key, record.value)
                except ControlRecordError:
                    unreadable.add(key)
                    continue
                if wanted(one):
                    found[key] = one
                    if len(found) > limit:
                        del found[next(iter(found))]
            position = await consumer.position(partition)
    finally:
        await consumer.stop()
    return AuditLog(list(found.values()), len(unreadable))
