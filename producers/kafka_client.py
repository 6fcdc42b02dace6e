"""How any aiokafka client of ours reaches Kafka: addresses, TLS and SASL, from the settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError
from aiokafka.helpers import create_ssl_context

from axonstream.producers.settings import Settings


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


def _closed_is_broken(send: Callable[..., Any]) -> Callable[..., Any]:
    """uvloop answers a write to a transport that it has closed with RuntimeError, which aiokafka takes for no broken
    connection (https://github.com/aio-libs/aiokafka/issues/1038): its task that keeps the metadata ends with it, and
    whoever looks for a coordinator or a leader after a broker's death waits for ever.
    """

    @wraps(send)
    def sending(connection: AIOKafkaConnection, *args: Any, **options: Any) -> Any:
        try:
            return send(connection, *args, **options)
        except RuntimeError as error:
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"connection to {connection.host}:{connection.port} broken: {error}") from error

    return sending


for _name in ("send", "_send_sasl_token"):
    if not hasattr(getattr(AIOKafkaConnection, _name), "__wrapped__"):
        setattr(AIOKafkaConnection, _name, _closed_is_broken(getattr(AIOKafkaConnection, _name)))
