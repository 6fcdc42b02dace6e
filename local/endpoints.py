"""Where the local stack listens: DATA_DIR/run/endpoints.json, written by the supervisor, read by the commands.

What is set in the environment wins over the file, and the file over the defaults. The file holds an API key and the
password of ClickHouse, so only its owner may read it.
"""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from axonstream.gateway.control.api_keys import MAKE_A_KEY
from axonstream.local.private_file import write_private
from axonstream.process.exit_codes import NoSecretError
from axonstream.settings.settings import Settings


class Endpoints(BaseModel):
    """The addresses of one running stack; `clickhouse_url` and `gateway_url` are http(s)://host:port."""

    model_config = ConfigDict(frozen=True)

    gateway_url: str
    kafka_bootstrap_servers: str
    clickhouse_url: str
    api_key: str | None = None
    clickhouse_password: str | None = None


def endpoints_file(data_dir: Path) -> Path:
    return data_dir / "run" / "endpoints.json"


def read_endpoints(data_dir: Path) -> Endpoints | None:
    """None when no stack was started on `data_dir`. The stack named may have died since."""
    path = endpoints_file(data_dir)
    try:
        return Endpoints.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise click.ClickException(f"{path} cannot be read: stop the stack, delete the file and start again") from None


def write_endpoints(data_dir: Path, endpoints: Endpoints) -> None:
    """Replace the file at once, so that a reader sees the old or the new one, never a half; mode 600."""
    write_private(endpoints_file(data_dir), endpoints.model_dump_json(indent=2) + "\n")


def with_endpoints(settings: Settings, data_dir: Path) -> Settings:
    """The settings, with the servers of the stack of `data_dir` where the environment names none.

    The password of its ClickHouse comes along with the address.
    """
    stack = read_endpoints(data_dir)
    if stack is None:
        return settings
    servers: dict[str, object] = {
        "kafka_bootstrap_servers": stack.kafka_bootstrap_servers,
        "clickhouse_url": stack.clickhouse_url,
    }
    if stack.clickhouse_password and "clickhouse_url" not in settings.model_fields_set:
        servers["clickhouse_password"] = SecretStr(stack.clickhouse_password)
    return settings.model_copy(
        update={name: url for name, url in servers.items() if name not in settings.model_fields_set}
    )


def gateway_url(settings: Settings, data_dir: Path) -> str:
    """AXONSTREAM_GATEWAY_PORT on this machine, or else the stack of `data_dir`, or else the default."""
    stack = None if "gateway_port" in settings.model_fields_set else read_endpoints(data_dir)
    return stack.gateway_url if stack else settings.local_gateway_url


def api_key(settings: Settings, data_dir: Path) -> str | None:
    """The first of AXONSTREAM_API_KEYS, or else the key of the stack of `data_dir`, or else the local default.

    None where there is no such key: on a stack that was started without one, and with a Kafka or gateway elsewhere.
    """
    own = next(iter(settings.tenants_by_key()), None)
    stack = None if own and "api_keys" in settings.model_fields_set else read_endpoints(data_dir)
    return stack.api_key if stack else own


def no_key() -> NoSecretError:
    """What a command says that has no key to ask the gateway with."""
    return NoSecretError(
        f"this stack has no key of its own: make one with `{MAKE_A_KEY}` (it asks for --data-dir where that is not "
        ".axonstream), then set AXONSTREAM_API_KEYS=KEY=TENANT"
    )
