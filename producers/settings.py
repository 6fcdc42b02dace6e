"""The one settings object of the server parts: `AXONSTREAM_<FIELD>` in the environment, nothing else reads it.

The SDK does not use it; its settings are arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from axonstream.event_contract import MAX_NAME_BYTES
from axonstream.producers.deletion import Late
from axonstream.producers.loopback import all_loopback, is_loopback
from axonstream.producers.secret_strength import weakness

LOCAL_KEYS = "ak_local=1"
DAYS_BEYOND_EVENTS = 7
LEAST_SECRET = 16  # characters
LEAST_KEY = 20  # characters of a key of AXONSTREAM_API_KEYS that other machines may try
_WITHOUT = {
    "summaries_ttl_days": "events would be left of traces that no list shows, because their summaries are gone",
    "dead_letters_ttl_days": "a summary that counts a record of the dead letters would pass for exact once its letter "
    "is gone",
}


class Settings(BaseSettings):
    """Every field has a default that serves the local stack; a cluster needs only these settings changed."""

    model_config = SettingsConfigDict(
        env_prefix="AXONSTREAM_",
        extra="ignore",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,  # it may be a secret
    )

    # Kafka
    kafka_bootstrap_servers: str = Field(default="127.0.0.1:9092", description="host:port, comma separated")
    kafka_security_protocol: str = Field(default="PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")
    kafka_sasl_mechanism: str = Field(default="PLAIN", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    kafka_sasl_username: str = Field(default="", description="for SASL_PLAINTEXT and SASL_SSL")
    kafka_sasl_password: SecretStr = Field(default=SecretStr(""), description="of kafka_sasl_username")
    kafka_ssl_ca_file: Path | None = Field(
        default=None, description="PEM; who signs the brokers' certificates. None: the system's own list"
    )
    kafka_ssl_cert_file: Path | None = Field(default=None, description="PEM; this client's certificate, for mutual TLS")
    kafka_ssl_key_file: Path | None = Field(default=None, description="PEM; the key of kafka_ssl_cert_file")
    topic_prefix: str = Field(default="", description="put before every topic, consumer group and Faust app id")
    topic_partitions: int = Field(default=8, ge=1, description="of agent-events; made by init, which can add some")
    topic_replication_factor: int = Field(
        default=1, ge=1, description="made by init; from 3 on, an acknowledged record is on two brokers at least"
    )
    topic_retention_hours: int = Field(default=7 * 24, ge=1, description="of agent-events and trace-summaries")
    kafka_flush_messages: int | None = Field(
        default=None,
        ge=0,
        description="Kafka writes a partition to the disk after so many records, before it acknowledges them; 1: each "
        "batch, so that a power cut of one machine loses nothing. 0: when the brokers say, in some 30 s if nobody has "
        "set them. Not set: what the topics have stays; the broker of `axonstream up` takes it for 0. `axonstream "
        "init` and `axonstream up` bring new topics and those that exist to it",
    )

    # ClickHouse
    clickhouse_url: str = Field(
        default="http://127.0.0.1:8123", description="http(s)://host:port of the HTTP interface"
    )
    clickhouse_user: str = Field(default="default", description="reads, inserts, and makes the schema at init")
    clickhouse_password: SecretStr = Field(default=SecretStr(""), description="of clickhouse_user")
    clickhouse_database: str = Field(
        default="axonstream", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="made by init where there is none"
    )
    clickhouse_cluster: str = Field(
        default="", description="name for ON CLUSTER and quorum settings; empty: one server"
    )
    fsync_after_insert: bool = Field(
        default=False,
        description="ClickHouse writes each INSERT to the disk before it acknowledges it. Without, what a power cut "
        "takes is stored again from Kafka. Set by init",
    )
    events_ttl_days: int = Field(default=30, ge=1, description="how long an event is kept after it was stored")
    summaries_ttl_days: int = Field(default=90, ge=1, description="at least a week above the TTL of the events")
    dead_letters_ttl_days: int = Field(default=60, ge=1, description="at least a week above the TTL of the events")

    # Gateway
    gateway_host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0: every IPv4 address")
    gateway_port: int = Field(default=8080, ge=0, le=65535, description="0 picks a free port")
    gateway_hosts: str = Field(
        default="",
        description="names that the header Host may have, comma separated, without port; others are answered with 421. "
        "Empty: 127.0.0.1, localhost and [::1] where gateway_host is loopback, any elsewhere. A proxy on the same "
        "machine that passes Host on needs its public name here",
    )
    gateway_max_connections: int = Field(
        default=10_000, ge=1, description="open at once; fewer where the process may not open so many files (ulimit -n)"
    )
    gateway_max_connections_per_address: int = Field(
        default=5000,
        ge=1,
        description="open at once from one address (IPv6: one /64); loopback is not counted. With a "
        "load balancer in front, all come from its address: then this is the limit of what it may have open",
    )
    gateway_tls_cert_file: Path | None = Field(
        default=None, description="certificate chain in PEM; with it and its key the gateway serves HTTPS, and no HTTP"
    )
    gateway_tls_key_file: Path | None = Field(default=None, description="in PEM; set with gateway_tls_cert_file")
    gateway_tls_key_password: SecretStr = Field(default=SecretStr(""), description="of a key that is encrypted")
    api_keys: SecretStr = Field(
        default=SecretStr(""),
        description="key=tenant,key=tenant, which may do everything and never end; empty: none. Where gateway and "
        f"Kafka are on loopback it is {LOCAL_KEYS} by default and keys may be short; elsewhere none is the default, "
        f"and a key has {LEAST_KEY} characters or more",
    )
    server_secret: SecretStr = Field(
        default=SecretStr(""),
        description="keys are kept as HMAC under it, webhook secrets encrypted; the same for every gateway, and kept: "
        "with another one no key is recognised. `axonstream up` makes one; without one there are only api_keys",
    )
    late_events: Late = Field(
        default=Late.REFUSED,
        description="what becomes of events that are published to a trace after its deletion, unless the request says; "
        "stored: they make a new trace",
    )
    strict_channels: bool = Field(
        default=False, description="refuse what is published to a channel that nobody made, instead of making it"
    )
    webhook_private_addresses: bool = Field(
        default=False, description="take webhook URLs whose host is an address or a name inside your network"
    )
    rate_limit_key_per_s: float = Field(
        default=0, ge=0, description="requests of one key, events of a bulk request counted; of one gateway; 0: any"
    )
    rate_limit_tenant_per_s: float = Field(default=0, ge=0, description="as rate_limit_key_per_s, of all its keys")
    rate_limit_burst_s: float = Field(default=5, gt=0, description="so many seconds' worth may come at once")
    read_wait_ms: int = Field(
        default=5000, ge=0, description="how long a read waits for what was acknowledged before it"
    )
    reads_at_once: int = Field(
        default=4,
        ge=2,
        le=10,
        description="queries of reads that one gateway has ClickHouse run at once, and whole traces that it streams; "
        "one tenant has half of them at most. More on a ClickHouse of more cores",
    )
    read_timeout_ms: int = Field(
        default=10_000, ge=100, description="of one query of a read; ClickHouse ends it then, and the answer is 503"
    )
    read_max_rows: int = Field(
        default=1_000_000_000, ge=1, description="that one query of a read may look at; beyond it the answer is 400"
    )
    read_max_memory_bytes: int = Field(
        default=2 << 30, ge=1 << 20, description="of ClickHouse, for one query of a read; beyond it the answer is 400"
    )
    trace_stream_timeout_s: float = Field(
        default=300, gt=0, description="until a reader has taken all events of a trace; after it the answer is cut off"
    )
    publish_timeout_ms: int = Field(default=10_000, ge=1, description="after it a publish is answered with 503")
    live_buffer_bytes: int = Field(
        default=32 << 20, ge=1 << 16, description="of events that live streams have still to be sent, all together"
    )
    live_max_streams: int = Field(default=5000, ge=1, description="open at once; one more is answered with 503")
    live_max_streams_of_tenant: int = Field(
        default=0,
        ge=0,
        description="of live_max_streams, for one tenant; 0: three quarters. One more is answered with 429. Beside "
        "others, a tenant gets the same part of what they leave",
    )

    # Processor and sink
    processor_instance: str = Field(
        default="",
        description="a name that no other processor has, and that this one keeps: started again within the session "
        "timeout, it goes on with its partitions at once (static group membership). Empty: a name of host and pid, and "
        "a member that leaves its group when it stops",
    )
    sink_instance: str = Field(default="", description="of a sink, as processor_instance")
    trace_idle_s: float = Field(
        default=30 * 60, gt=0, description="a trace without events for so long leaves the processor's memory"
    )
    max_live_traces: int = Field(
        default=1_000_000, ge=1, description="in one processor's memory; of more, those that were idle longest leave"
    )
    session_timeout_ms: int = Field(
        default=10_000, ge=6000, description="without a heartbeat for so long, a member of a group loses its partitions"
    )
    sink_flush_ms: int = Field(default=50, ge=0, description="at least so long from one INSERT of a table to the next")
    sink_max_rows: int = Field(default=100_000, ge=1, description="of one INSERT")
    sink_max_bytes: int = Field(default=64 << 20, ge=1, description="of one fetch from Kafka, and of one INSERT")
    max_bad_events_per_minute: int = Field(
        default=10_000, ge=1, description="of one topic, read by one sink; beyond it the sink stops with exit code 78"
    )
    max_refused_in_a_row: int = Field(
        default=20, ge=1, description="events that ClickHouse refuses, and takes none between; then exit code 78"
    )
    dead_letter_timeout_ms: int = Field(
        default=60_000, ge=0, description="a dead letter that waits longer for its topic ends the sink, exit code 69"
    )
    deletion_pause_s: float = Field(
        default=10,
        ge=0,
        description="between two deletions in ClickHouse: what is asked for meanwhile is deleted together, because "
        "each looks at every part of the tables. Minutes on a large cluster",
    )
    insert_timeout_ms: int = Field(default=5_000, ge=100, description="must be below the session timeout")

    # Local stack
    data_dir: Path = Field(default=Path(".axonstream"), description="where `axonstream up` keeps everything")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL")

    @field_validator("gateway_tls_key_file")
    @classmethod
    def _with_its_certificate(cls, key: Path | None, validated: ValidationInfo) -> Path | None:
        if (key is None) != (validated.data.get("gateway_tls_cert_file") is None):
            raise ValueError("set AXONSTREAM_GATEWAY_TLS_CERT_FILE and AXONSTREAM_GATEWAY_TLS_KEY_FILE, or neither")
        return key

    @field_validator("api_keys")
    @classmethod
    def _keys_are_pairs(cls, keys: SecretStr, validated: ValidationInfo) -> SecretStr:
        pairs = _pairs(keys.get_secret_value())
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key stands twice: each key belongs to one tenant")
        for word in (word for pair in pairs for word in pair):
            if not 0 < len(word) <= MAX_NAME_BYTES or not word.isascii() or not word.isprintable():
                raise ValueError("must read key=tenant,key=tenant, each of 1 to 256 printable ASCII characters")
        others_reach_it = not _on_loopback(validated.data)
        for number, (key, _) in enumerate(pairs, 1):
            if others_reach_it and (problem := weakness(key, LEAST_KEY)):
                raise ValueError(f"key {number} can be tried from other machines and {problem}")
        return keys

    @field_validator("server_secret")
    @classmethod
    def _secret_is_strong(cls, secret: SecretStr) -> SecretStr:
        text = secret.get_secret_value()
        if text and (problem := weakness(text, LEAST_SECRET)):
            raise ValueError(f"the secret {problem}")
        return secret

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

    @property
    def local_gateway_url(self) -> str:
        """The gateway's address for programs of the same machine."""
        everywhere = self.gateway_host in ("", "0.0.0.0", "::")
        host = "127.0.0.1" if everywhere else self.gateway_host
        scheme = "http" if self.gateway_tls_cert_file is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.gateway_port}"

    @property
    def on_loopback(self) -> bool:
        """Whether gateway and Kafka can be reached from this machine alone."""
        return _on_loopback({name: getattr(self, name) for name in ("gateway_host", "kafka_bootstrap_servers")})

    def tenants_by_key(self) -> dict[str, str]:
        """API key -> tenant id. LOCAL_KEYS where no keys are set, on loopback alone: everybody knows that key."""
        if "api_keys" not in self.model_fields_set and self.on_loopback:
            return dict(_pairs(LOCAL_KEYS))
        return dict(_pairs(self.api_keys.get_secret_value()))


def _on_loopback(values: Mapping[str, Any]) -> bool:
    return is_loopback(values.get("gateway_host", "")) and all_loopback(values.get("kafka_bootstrap_servers", ""))


def _pairs(text: str) -> list[tuple[str, str]]:
    if not text.strip():
        return []
    split = [pair.partition("=") for pair in text.split(",")]
    return [(key.strip(), tenant.strip()) for key, _, tenant in split]
