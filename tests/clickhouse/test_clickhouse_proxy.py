"""Proxies of the environment stand in nobody's way to a ClickHouse on this machine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from clickhouse_connect.driver import httpclient, httputil

from axonstream.clickhouse.client import connect, connect_blocking
from axonstream.clickhouse.proxy import ask_loopback_directly
from axonstream.settings.settings import Settings


@pytest.fixture(autouse=True)
def _a_dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_loopback_has_no_proxy_and_other_hosts_keep_theirs() -> None:
    ask_loopback_directly()
    ask_loopback_directly()
    for module in (httputil, httpclient):
        for host in ("127.0.0.1", "localhost", "::1"):
            assert module.check_env_proxy("http", host, 8123) is None
        assert module.check_env_proxy("http", "clickhouse.example", 8123) == "http://127.0.0.1:9"


@pytest.mark.services
def test_both_clients_reach_a_clickhouse_on_this_machine(server_settings: Settings) -> None:
    async def ask() -> Any:
        client = await connect(server_settings)
        try:
            return await client.command("SELECT 7")
        finally:
            await client.close()

    assert asyncio.run(ask()) == 7
    blocking = connect_blocking(server_settings)
    assert blocking.command("SELECT 8") == 8
    blocking.close()
