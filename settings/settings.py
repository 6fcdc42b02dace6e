"""The one settings object of the server parts: `AXONSTREAM_<FIELD>` in the environment, nothing else reads it.

Each part has a file of its own beside this one. The SDK uses none of them; its settings are arguments.
"""

from __future__ import annotations

from pydantic import BaseModel
from pydantic_settings import BaseSettings, SettingsConfigDict

from axonstream.settings.clickhouse import ClickHouseSettings
from axonstream.settings.gateway import GatewaySettings
from axonstream.settings.kafka import KafkaSettings
from axonstream.settings.local import LocalSettings
from axonstream.settings.workers import WorkerSettings

# In the order in which docs/settings.md has them; a validator reads the fields that come before its own.
PARTS: dict[str, type[BaseModel]] = {
    "Kafka": KafkaSettings,
    "ClickHouse": ClickHouseSettings,
    "Gateway": GatewaySettings,
    "Processor and sink": WorkerSettings,
    "Local stack": LocalSettings,
}


class Settings(LocalSettings, WorkerSettings, GatewaySettings, ClickHouseSettings, KafkaSettings, BaseSettings):
    """Every field has a default that serves the local stack; a cluster needs only these settings changed."""

    model_config = SettingsConfigDict(
        env_prefix="AXONSTREAM_",
        extra="ignore",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,  # it may be a secret
    )
