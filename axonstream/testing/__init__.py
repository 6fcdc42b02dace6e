"""Tests of your own code that publishes: a server in memory, what it collected, and ids and times that stay the same.

    from axonstream.testing import MemoryServer

    server = MemoryServer()
    with server.client() as client:
        my_agent(client)
    server.events.assert_one(identifier="web_search", agent_id="researcher", payload={"query": "AI frameworks"})

With pytest, name the plugin in your top `conftest.py`: `pytest_plugins = ["axonstream.testing.plugin"]`. It has the
fixtures `axonstream_server` and `axonstream_client`. docs/testing.md has all of it.
"""

from __future__ import annotations

from axonstream.random_ids import counted_ids
from axonstream.testing.collected import Collected
from axonstream.testing.memory_server import MemoryServer
from axonstream.testing.ticking_clock import ticking
from axonstream.trace_context import outside_of_traces

__all__ = ["Collected", "MemoryServer", "counted_ids", "outside_of_traces", "ticking"]
