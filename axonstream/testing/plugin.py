"""Fixtures for pytest: `pytest_plugins = ["axonstream.testing.plugin"]` in the top conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from axonstream.client import AxonPush
from axonstream.testing import MemoryServer, counted_ids, outside_of_traces


@pytest.fixture
def axonstream_server() -> Iterator[MemoryServer]:
    """A server in memory for one test, which begins outside of every trace. Ids and times are the same in each run."""
    with counted_ids(), outside_of_traces():
        yield MemoryServer()


@pytest.fixture
def axonstream_client(axonstream_server: MemoryServer) -> Iterator[AxonPush]:
    """A client of `axonstream_server`."""
    with axonstream_server.client() as client:
        yield client
