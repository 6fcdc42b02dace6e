"""What the gateway listens on, whom it admits, and what it may spend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from axonstream.contract.deletion import Late
from axonstream.event_contract import MAX_NAME_BYTES
from axonstream.settings.kafka import KafkaSettings
from axonstream.settings.loopback import all_loopback, is_loopback
from axonstream.settings.secret_strength import weakness
from axonstream.verdict import DEFAULT_STALL_S

LOCAL_KEYS = "ak_local=1"
LEAST_SECRET = 16  # characters
LEAST_KEY = 20  # characters of a key of AXONSTREAM_API_KEYS that other machines may try


class GatewaySettings(KafkaSettings):
    """Also which keys are good: that depends on who can reach gateway and Kafka."""

    gateway_host: str = Field(
        default="127.0.0.1", description="Address that the gateway listens on. 0.0.0.0 means every IPv4 address."
    )
    gateway_port: int = Field(
        default=8080, ge=0, le=65535, description="Port that the gateway listens on. 0 picks a free port."
    )
    gateway_hosts: str = Field(
        default="",
        description="Names that the Host header may have, without ports, separated by commas. Requests with other "
        "names get 421. When this is empty, a gateway on loopback accepts 127.0.0.1, localhost and "
        "[::1], and any other gateway accepts every name. Add the public name if a proxy on the same "
        "machine passes Host on.",
    )
    gateway_max_connections: int = Field(
        default=10_000,
        ge=1,
        description="Connections that one gateway keeps open. The process's limit of open files (ulimit -n) can "
        "lower it.",
    )
    gateway_max_connections_per_address: int = Field(
        default=5000,
        ge=1,
        description="Open connections per client address (per /64 for IPv6). Loopback is not counted. Behind a load "
        "balancer all connections come from its address, so this limits the load balancer.",
    )
    gateway_tls_cert_file: Path | None = Field(
        default=None,
        description="PEM file with the certificate chain. With certificate and key the gateway serves HTTPS, and no "
        "HTTP.",
    )
    gateway_tls_key_file: Path | None = Field(
        default=None, description="PEM file with the key of gateway_tls_cert_file."
    )
    gateway_tls_key_password: SecretStr = Field(
        default=SecretStr(""), description="Password of the key file, if the key is encrypted."
    )
    api_keys: SecretStr = Field(
        default=SecretStr(""),
        description="Static keys, as key=tenant,key=tenant. They may do everything and never expire. The default is "
        "ak_local=1 where gateway and Kafka are on loopback, and no key elsewhere. Keys need 20 "
        "characters or more, except on loopback.",
    )
    server_secret: SecretStr = Field(
        default=SecretStr(""),
        description="API keys are stored as HMACs under this secret, and webhook secrets are encrypted with it. Use "
        "the same secret for every gateway and keep it: with another one no stored key is recognised. "
        "`axonstream up` makes one. Without a secret only api_keys work.",
    )
    late_events: Late = Field(
        default=Late.REFUSED,
        description="What happens to events that arrive for a trace after it was deleted, unless the delete request "
        "says so itself. `stored` lets them begin a new trace.",
    )
    strict_channels: bool = Field(
        default=False, description="Refuses events for a channel that does not exist, instead of creating the channel."
    )
    webhook_private_addresses: bool = Field(
        default=False, description="Accepts webhook URLs that point to an address or a name inside your network."
    )
    rate_limit_key_per_s: float = Field(
        default=0,
        ge=0,
        description="Requests per second and API key, per gateway. Each event of a bulk request counts as one. 0 "
        "disables the limit.",
    )
    rate_limit_tenant_per_s: float = Field(
        default=0,
        ge=0,
        description="Requests per second of all keys of a tenant, per gateway. Each event of a bulk request counts "
        "as one. 0 disables the limit.",
    )
    rate_limit_burst_s: float = Field(
        default=5, gt=0, description="Seconds' worth of the rate limits that may arrive at once."
    )
    read_wait_ms: int = Field(
        default=5000,
        ge=0,
        description="Milliseconds that a read waits until everything acknowledged before it is visible.",
    )
    reads_at_once: int = Field(
        default=4,
        ge=2,
        le=10,
        description="Queries that one gateway runs in ClickHouse at the same time, and whole traces that it streams "
        "at the same time. One tenant gets at most half of them. Raise it if ClickHouse has more cores.",
    )
    read_timeout_ms: int = Field(
        default=10_000,
        ge=100,
        description="Milliseconds that one query of a read may take. ClickHouse then cancels it, and the answer is "
        "503.",
    )
    read_max_rows: int = Field(
        default=1_000_000_000, ge=1, description="Rows that one query of a read may scan. Beyond it the answer is 400."
    )
    read_max_memory_bytes: int = Field(
        default=2 << 30,
        ge=1 << 20,
        description="Memory in ClickHouse that one query of a read may use. Beyond it the answer is 400.",
    )
    trace_stream_timeout_s: float = Field(
        default=300,
        gt=0,
        description="Seconds that a reader has to take all events of a trace. Then the answer is cut off.",
    )
    stall_s: float = Field(
        default=DEFAULT_STALL_S,
        gt=0,
        description="Seconds without events after which a run with open steps is `stalled`. The view `traces` "
        "always takes 300.",
    )
    publish_timeout_ms: int = Field(
        default=10_000, ge=1, description="Milliseconds to wait for Kafka's acknowledgement. Then the answer is 503."
    )
    live_buffer_bytes: int = Field(
        default=32 << 20,
        ge=1 << 16,
        description="Bytes of events that wait to be sent to live streams, over all streams of one gateway.",
    )
    live_max_streams: int = Field(
        default=5000, ge=1, description="Live streams that one gateway keeps open. One more gets 503."
    )
    live_max_streams_of_tenant: int = Field(
        default=0,
        ge=0,
        description="Live streams of one tenant. One more gets 429. 0 means three quarters of live_max_streams. When "
        "other tenants have streams, a tenant gets the same fraction of what they leave.",
    )

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
            raise ValueError("a key is there twice: each key belongs to one tenant")
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
