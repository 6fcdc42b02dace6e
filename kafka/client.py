"""How any aiokafka client of ours reaches Kafka: addresses, TLS and SASL, from the settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError
from aiokafka.helpers import create_ssl_context

from axonstream.settings.settings import Settings

_SENDING = ("send", "_send_sasl_token")


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


def survive_closed_transports() -> None:
    """For a process that is ours: a write to a transport that uvloop has closed is a broken connection of any client.

    uvloop answers such a write with RuntimeError, which aiokafka takes for no broken connection
    (https://github.com/aio-libs/aiokafka/issues/1038): its task that keeps the metadata ends with it, and whoever looks
    for a coordinator or a leader after a broker's death waits for ever. Changes aiokafka's class; twice is harmless.
    """
    for name in _SENDING:
        if not hasattr(getattr(AIOKafkaConnection, name), "__wrapped__"):
            setattr(AIOKafkaConnection, name, _closed_is_broken(getattr(AIOKafkaConnection, name)))


def survive_closed_transports_of(client: AIOKafkaClient) -> None:
    """The same for one client, in a process that is somebody else's. Call it before the client starts."""
    connect = client._get_conn

    async def connected(*node: Any, **options: Any) -> AIOKafkaConnection | None:
        connection = await connect(*node, **options)
        if connection is not None and not hasattr(connection.send, "__wrapped__"):
            connection.send = _closed_is_broken(type(connection).send).__get__(connection)
        return connection

    client._get_conn = connected


def _closed_is_broken(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    def sending(connection: AIOKafkaConnection, *args: Any, **options: Any) -> Any:
        try:
            return send(connection, *args, **options)
        except RuntimeError as error:
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"connection to {connection.host}:{connection.port} broken: {error}") from error

    return sending
