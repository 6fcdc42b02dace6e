"""Of a broker that hangs, another one is asked where the coordinator is."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from axonstream.kafka.coordinator_lookup import look_up_promptly


def test_a_broker_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axonstream.kafka.coordinator_lookup.LOOKUP_S", 0.01)
    asked: list[tuple[Any, ...]] = []

    async def look_up(*what: Any) -> int:
        asked.append(what)
        if len(asked) == 1:
            await asyncio.Event().wait()
        return 2

    async def scenario() -> None:
        client = SimpleNamespace(coordinator_lookup=look_up)
        consumer: Any = SimpleNamespace(_client=client)
        look_up_promptly(consumer)
        with pytest.raises(KafkaError):
            await client.coordinator_lookup("group", "sinks")
        assert await client.coordinator_lookup("group", "sinks") == 2
        assert asked == [("group", "sinks")] * 2

    asyncio.run(scenario())
