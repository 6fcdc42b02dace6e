"""Where Kafka is, and the topics on it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from axonstream.settings.part import PartSettings


class KafkaSettings(PartSettings):
    """Addresses, TLS and SASL, and the topics of one installation."""

    kafka_bootstrap_servers: str = Field(
        default="127.0.0.1:9092", description="Brokers to connect to first, as host:port, separated by commas."
    )
    kafka_security_protocol: str = Field(default="PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.")
    kafka_sasl_mechanism: str = Field(default="PLAIN", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.")
    kafka_sasl_username: str = Field(default="", description="User name for SASL_PLAINTEXT and SASL_SSL.")
    kafka_sasl_password: SecretStr = Field(default=SecretStr(""), description="Password of kafka_sasl_username.")
    kafka_ssl_ca_file: Path | None = Field(
        default=None,
        description="PEM file with the authorities that sign the brokers' certificates. Without it the system's own "
        "list is used.",
    )
    kafka_ssl_cert_file: Path | None = Field(
        default=None, description="PEM file with this client's certificate, for mutual TLS."
    )
    kafka_ssl_key_file: Path | None = Field(default=None, description="PEM file with the key of kafka_ssl_cert_file.")
    topic_prefix: str = Field(
        default="",
        description="Prefix of every topic, consumer group and Faust app id. Give each installation on one Kafka its "
        "own.",
    )
    topic_partitions: int = Field(
        default=8,
        ge=1,
        description="Number of partitions of agent-events. `axonstream init` creates them, and can add some later.",
    )
    topic_replication_factor: int = Field(
        default=1,
        ge=1,
        description="Replicas of each topic that `axonstream init` creates. With 3 or more, at least two brokers "
        "have an acknowledged record.",
    )
    topic_retention_hours: int = Field(
        default=7 * 24, ge=1, description="Hours for which Kafka keeps agent-events and trace-summaries."
    )
    kafka_flush_messages: int | None = Field(
        default=None,
        ge=0,
        description="Kafka writes a partition to disk after this many records, before it acknowledges them. 1 writes "
        "each batch, so a power cut of one machine loses nothing. 0 leaves it to the brokers, which "
        "write within about 30 s unless you changed that. Without a value, topics keep what they have, "
        "and the broker of `axonstream up` treats it as 0. `axonstream init` and `axonstream up` apply "
        "it to new and existing topics.",
    )
