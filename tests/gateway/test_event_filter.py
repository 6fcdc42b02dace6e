"""The condition of a list of events."""

from __future__ import annotations

import asyncio

import pytest

from axonstream.event_contract import MAX_ID
from axonstream.gateway.control.data import MAX_CHANNELS, MAX_PUBLISHED_CHANNELS
from axonstream.gateway.reading.clickhouse_reads import ClickHouseReads
from axonstream.gateway.reading.event_queries import EventFilter
from axonstream.gateway.reading.trace_queries import TraceQueries
from axonstream.settings.settings import Settings

_FIELD_BYTES = 128 << 10  # https://clickhouse.com/docs/operations/settings/settings#http_max_field_value_size


def test_no_value_of_the_largest_app_is_more_than_clickhouse_takes() -> None:
    ids = range(MAX_ID - MAX_CHANNELS - MAX_PUBLISHED_CHANNELS, MAX_ID)
    condition, given = EventFilter(channel_ids=ids).condition()
    assert sorted(number for value in given.values() for number in value) == list(ids)
    assert all(len(str(value)) < _FIELD_BYTES for value in given.values())
    assert all(f"{{{name}:Array(UInt64)}}" in condition for name in given)


@pytest.mark.services
@pytest.mark.parametrize(("channels", "found"), [([], 0), ([1, 5], 2), (list(range(5, 9000)), 1), (range(9000), 3)])
def test_a_list_of_channels_of_any_length_is_asked_for(
    server_settings: Settings, channels: list[int], found: int
) -> None:
    async def scenario() -> None:
        queries = TraceQueries(ClickHouseReads(server_settings))
        condition, given = EventFilter(channel_ids=channels).condition()
        numbers = "(SELECT arrayJoin([0, 1, 5])::UInt64 AS channel_id)"
        assert await queries.reads.rows("1", f"SELECT count() FROM {numbers} WHERE 1{condition}", given) == [(found,)]
        await queries.reads.close()

    asyncio.run(scenario())
