"""Where ClickHouse is, and how long it keeps what is stored."""

from __future__ import annotations

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from axonstream.settings.part import PartSettings

DAYS_BEYOND_EVENTS = 7
_WITHOUT = {
    "summaries_ttl_days": "events would be left of traces that no list shows, because their summaries are gone",
    "dead_letters_ttl_days": "a summary that counts a record of the dead letters would pass for exact once its letter "
    "is gone",
}


class ClickHouseSettings(PartSettings):
    """Address, user, schema and retention."""

    clickhouse_url: str = Field(
        default="http://127.0.0.1:8123", description="The HTTP interface of ClickHouse, as http(s)://host:port."
    )
    clickhouse_user: str = Field(
        default="default",
        description="ClickHouse user. It reads and inserts, and creates the schema during `axonstream init`.",
    )
    clickhouse_password: SecretStr = Field(default=SecretStr(""), description="Password of clickhouse_user.")
    clickhouse_database: str = Field(
        default="axonstream",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Database that holds all tables. `axonstream init` creates it if it is missing.",
    )
    clickhouse_cluster: str = Field(
        default="",
        description="Cluster name for ON CLUSTER statements and quorum settings. Leave it empty for a single server.",
    )
    fsync_after_insert: bool = Field(
        default=False,
        description="Makes ClickHouse write each INSERT to disk before it acknowledges it. Without this, rows that a "
        "power cut takes are stored again from Kafka. `axonstream init` applies it.",
    )
    events_ttl_days: int = Field(
        default=30, ge=1, description="Days for which an event is kept, counted from when it was stored."
    )
    summaries_ttl_days: int = Field(
        default=90, ge=1, description="Days for which a summary is kept. At least a week more than events_ttl_days."
    )
    dead_letters_ttl_days: int = Field(
        default=60, ge=1, description="Days for which a dead letter is kept. At least a week more than events_ttl_days."
    )

    @field_validator("summaries_ttl_days", "dead_letters_ttl_days")
    @classmethod
    def _outlive_events(cls, days: int, validated: ValidationInfo) -> int:
        """Events without their summary are in no list of traces, and `verify` would call them uncovered; a summary that
        has counted a record ClickHouse then refused is told apart by its dead letter.

        Events leave in whole parts, so the last of a part keeps the others some days beyond their TTL.
        """
        least = validated.data.get("events_ttl_days", days) + DAYS_BEYOND_EVENTS
        if days < least:
            raise ValueError(
                f"{days} is less than AXONSTREAM_EVENTS_TTL_DAYS and {DAYS_BEYOND_EVENTS} more: "
                f"{_WITHOUT[str(validated.field_name)]}. Set it to {least} or more"
            )
        return days
