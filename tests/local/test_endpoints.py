"""Where the stack listens: the file, and what wins over it."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from axonstream.local.endpoints import (
    Endpoints,
    api_key,
    endpoints_file,
    gateway_url,
    read_endpoints,
    with_endpoints,
    write_endpoints,
)
from axonstream.settings.settings import Settings

STACK = Endpoints(
    gateway_url="http://127.0.0.1:1001",
    kafka_bootstrap_servers="127.0.0.1:1002",
    clickhouse_url="http://127.0.0.1:1003",
    api_key="ak_file",
    clickhouse_password="made by up",
)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLICKHOUSE_URL", "CLICKHOUSE_PASSWORD", "GATEWAY_PORT", "API_KEYS"):
        monkeypatch.delenv(f"AXONSTREAM_{name}", raising=False)


def test_what_is_written_is_read_and_only_the_owner_may(tmp_path: Path) -> None:
    write_endpoints(tmp_path, STACK.model_copy(update={"api_key": None}))
    write_endpoints(tmp_path, STACK)
    assert read_endpoints(tmp_path) == STACK
    assert endpoints_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert list(endpoints_file(tmp_path).parent.iterdir()) == [endpoints_file(tmp_path)]


def test_without_a_file_there_is_no_stack_and_the_defaults_hold(tmp_path: Path) -> None:
    assert read_endpoints(tmp_path) is None
    assert gateway_url(Settings(), tmp_path) == "http://127.0.0.1:8080"
    assert with_endpoints(Settings(), tmp_path).clickhouse_url == "http://127.0.0.1:8123"
    assert api_key(Settings(), tmp_path) == "ak_local"


def test_the_file_wins_over_the_defaults(tmp_path: Path) -> None:
    write_endpoints(tmp_path, STACK)
    assert gateway_url(Settings(), tmp_path) == STACK.gateway_url
    found = with_endpoints(Settings(), tmp_path)
    assert found.clickhouse_url == STACK.clickhouse_url
    assert found.clickhouse_password.get_secret_value() == STACK.clickhouse_password
    assert api_key(Settings(), tmp_path) == "ak_file"


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_endpoints(tmp_path, STACK)
    monkeypatch.setenv("AXONSTREAM_CLICKHOUSE_URL", "http://elsewhere:8123")
    monkeypatch.setenv("AXONSTREAM_GATEWAY_PORT", "9000")
    monkeypatch.setenv("AXONSTREAM_API_KEYS", "ak_set=7")
    found = with_endpoints(Settings(), tmp_path)
    assert found.clickhouse_url == "http://elsewhere:8123"
    assert found.clickhouse_password.get_secret_value() == "", "the password is of the stack, and not for elsewhere"
    assert gateway_url(Settings(), tmp_path) == "http://127.0.0.1:9000"
    assert api_key(Settings(), tmp_path) == "ak_set"


def test_a_broken_file_is_said_to_be_broken(tmp_path: Path) -> None:
    endpoints_file(tmp_path).parent.mkdir()
    endpoints_file(tmp_path).write_text("{")
    with pytest.raises(click.ClickException, match="delete the file"):
        read_endpoints(tmp_path)
