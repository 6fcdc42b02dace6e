"""The one settings object of the server parts: `AXONSTREAM_<FIELD>` in the environment, nothing else reads it.

Each part has a file of its own beside this one. The SDK uses none of them; its settings are arguments.
"""

from __future__ import annotations

from axonstream.settings.clickhouse import ClickHouseSettings
from axonstream.settings.gateway import GatewaySettings
from axonstream.settings.kafka import KafkaSettings
from axonstream.settings.local import LocalSettings
from axonstream.settings.part import PartSettings
from axonstream.settings.workers import WorkerSettings

# In the order in which docs/settings.md has them; a validator reads the fields that come before its own.
PARTS: dict[str, type[PartSettings]] = {
    "Kafka": KafkaSettings,
    "ClickHouse": ClickHouseSettings,
    "Gateway": GatewaySettings,
    "Processor and sink": WorkerSettings,
    "Local stack": LocalSettings,
}


class Settings(LocalSettings, WorkerSettings, GatewaySettings, ClickHouseSettings, KafkaSettings):
    """Every field has a default that serves the local stack; a cluster needs only these settings changed."""
