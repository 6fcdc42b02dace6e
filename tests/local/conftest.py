"""A ClickHouse server of the embedded kind for each file of tests that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from clickhouse_connect.driver.client import Client

from kit.clickhouse_process import ClickHouseProcess, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess]:
    with serving(tmp_path_factory.mktemp("clickhouse") / "data") as process:
        yield process


@pytest.fixture
def client(server: ClickHouseProcess) -> Iterator[Client]:
    with server.client() as connected:
        yield connected


@pytest.fixture
def table(client: Client) -> Iterator[str]:
    name = f"t_{uuid4().hex}"
    client.command(f"CREATE TABLE {name} (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
    yield name
    client.command(f"DROP TABLE {name}")
