"""`axonstream init` on servers that do not answer says which, and what to do."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from axonstream.cli.main import main
from axonstream.process.exit_codes import UNREACHABLE
from axonstream.settings.settings import Settings


def test_no_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    refused = CliRunner().invoke(main, ["init"])
    assert refused.exit_code == UNREACHABLE
    assert "no Kafka answers at 127.0.0.1:1" in refused.output
    assert "AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS" in refused.output


@pytest.mark.services
def test_no_clickhouse_then_all_is_made_and_made_again(
    server_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS", server_settings.kafka_bootstrap_servers)
    monkeypatch.setenv("AXONSTREAM_TOPIC_PREFIX", f"{server_settings.topic_prefix}again-")
    monkeypatch.setenv("AXONSTREAM_CLICKHOUSE_DATABASE", f"{server_settings.clickhouse_database}_again")
    monkeypatch.setenv("AXONSTREAM_CLICKHOUSE_URL", "http://127.0.0.1:1")
    refused = CliRunner().invoke(main, ["init"])
    assert refused.exit_code == UNREACHABLE
    assert "AXONSTREAM_CLICKHOUSE_URL" in refused.output
    monkeypatch.setenv("AXONSTREAM_CLICKHOUSE_URL", server_settings.clickhouse_url)
    for _ in range(2):
        made = CliRunner().invoke(main, ["init"])
        assert made.exit_code == 0, made.output
