"""Read and change the configs of topics that exist.

aiokafka knows only the older AlterConfigs, which sets everything back that it does not name. IncrementalAlterConfigs
(KIP-339) leaves the rest alone; its request and answer are described here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String
from typing_extensions import override

_OF_THE_TOPIC = 1  # config_source: set on this very topic, and no default of the broker or the cluster
_SET, _TAKE_OFF = 0, 1


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """A config's value, and whether somebody has set it on this topic."""

    value: str
    is_own: bool


class ConfigNotChangedError(KafkaError):
    """The broker refuses the change; the message says what it answers."""


async def read_configs(admin: AIOKafkaAdminClient, topic: str, names: Sequence[str]) -> dict[str, TopicConfig]:
    """Those of `names` that the broker tells of; none when this client may not ask."""
    asked = ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(names, ""))
    answer: Any
    [answer] = await admin.describe_configs([asked])
    entries = [entry for resource in answer.resources for entry in resource[4]]
    return {entry[0]: TopicConfig(entry[1], entry[3] == _OF_THE_TOPIC) for entry in entries}


async def change_configs(admin: AIOKafkaAdminClient, topic: str, configs: Mapping[str, str | None]) -> None:
    """Set these configs on the topic, take those off that are None, and leave all others as they are.

    Raises ConfigNotChangedError.
    """
    answer: Any = await admin._send_request(_AlterRequest(topic, configs))
    for code, said, *_ in answer.responses:
        if code:
            raise ConfigNotChangedError(f"{for_code(code).__name__}{f': {said}' if said else ''}")


class _AlterResponse(Response):
    @property
    @override
    def API_KEY(self) -> int:
        return 44

    @property
    @override
    def API_VERSION(self) -> int:
        return 0

    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "responses",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class _AlterRequestStruct(RequestStruct):
    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = _AlterResponse
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                ("configs", Array(("name", String("utf-8")), ("operation", Int8), ("value", String("utf-8")))),
            ),
        ),
        ("validate_only", Boolean),
    )


class _AlterRequest(Request[_AlterRequestStruct]):
    API_KEY = 44

    def __init__(self, topic: str, configs: Mapping[str, str | None]) -> None:
        self._topic = topic
        self._configs = configs

    def build(self, request_struct_class: type[_AlterRequestStruct]) -> _AlterRequestStruct:
        changes = [(name, _TAKE_OFF if value is None else _SET, value) for name, value in self._configs.items()]
        return request_struct_class([(int(ConfigResourceType.TOPIC), self._topic, changes)], False)
