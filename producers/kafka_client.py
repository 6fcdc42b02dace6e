"""How any aiokafka client of ours reaches Kafka: addresses, TLS and SASL, from the settings."""

from __future__ import annotations

from typing import Any

from aiokafka.helpers import create_ssl_context

from producers.settings import Settings


def kafka_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for AIOKafkaProducer, AIOKafkaConsumer and AIOKafkaAdminClient."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        options["ssl_context"] = create_ssl_context(
            cafile=_text(settings.kafka_ssl_ca_file),
            certfile=_text(settings.kafka_ssl_cert_file),
            keyfile=_text(settings.kafka_ssl_key_file),
        )
    if settings.kafka_security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_sasl_username
        options["sasl_plain_password"] = settings.kafka_sasl_password.get_secret_value()
    return options


def _text(path: object) -> str | None:
    return None if path is None else str(path)
