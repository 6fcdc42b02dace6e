"""The SQL of the lists of events. Values are bound by the server; every query names the tenant (guarantee G6).

A list is in the order of arrival, the newest first. Which events it shows is asked first, of a few columns, within the
last hour and then at all; payloads are read of those alone, through the view that shows a repeated event once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.answers import StoredEvent
from gateway.reading.trace_queries import EVENT_COLUMNS, RAW, TraceQueries

_HOUR_MS = 3_600_000
# ClickHouse refuses a value of more than http_max_field_value_size, 128 KiB; an id has 19 digits at the most.
MOST_IN_A_VALUE = 4000


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What is wanted; None is anything. `since_ms` and `until_ms` bound the arrival: at or after, and before."""

    channel_ids: Sequence[int] | None = None
    agent_id: str | None = None
    event_type: str | None = None
    trace_id: str | None = None
    environment: str | None = None
    source: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def condition(self) -> tuple[str, dict[str, Any]]:
        """SQL that follows AND, and its parameters."""
        texts = {
            "agent_id": self.agent_id,
            "event_type": self.event_type,
            "trace_id": self.trace_id,
            "environment": self.environment,
            "source": self.source,
        }
        given: dict[str, Any] = {name: text for name, text in texts.items() if text is not None}
        sql = [f"{name} = {{{name}:String}}" for name in given]
        if self.channel_ids is not None:
            starts = range(0, max(1, len(self.channel_ids)), MOST_IN_A_VALUE)
            values = {f"channels{at}": list(self.channel_ids[at : at + MOST_IN_A_VALUE]) for at in starts}
            given |= values
            sql.append(f"({' OR '.join(f'channel_id IN {{{name}:Array(UInt64)}}' for name in values)})")
        for name, at, operator in (("since", self.since_ms, ">="), ("until", self.until_ms, "<")):
            if at is not None:
                given[name] = at
                sql.append(f"received_at {operator} fromUnixTimestamp64Milli({{{name}:Int64}})")
        return "".join(f" AND {one}" for one in sql), given


class EventQueries:
    """Asks over the connection of `queries`; calls raise UnavailableError when ClickHouse does not answer."""

    def __init__(self, queries: TraceQueries) -> None:
        self._queries = queries

    async def page(
        self, tenant_id: str, wanted: EventFilter, limit: int, offset: int, now_ms: int
    ) -> list[StoredEvent]:
        """A page of the tenant's events, the newest first."""
        condition, given = wanted.condition()
        given |= {"tenant": tenant_id, "limit": limit, "offset": offset}
        ids: Sequence[Sequence[Any]] = ()
        for since_ms in (now_ms - _HOUR_MS, 0):
            ids = await self._queries.rows(_ids(condition), given | {"window": since_ms})
            if len(ids) == limit:
                break
        if not ids:
            return []
        chosen = {"traces": sorted({row[0] for row in ids}), "events": sorted({row[1] for row in ids})}
        rows = await self._queries.rows(_rows(condition), given | chosen, column_formats=RAW)
        found: dict[tuple[Any, ...], StoredEvent] = {}
        for *event, partition, offset_ in rows:
            stored = StoredEvent(*event)
            place = (0, -1) if stored.dedup_key else (partition, offset_)
            found[stored.trace_id, stored.event_id, *place] = stored
        keys = [(row[0], row[1], *((0, -1) if row[2] else (row[3], row[4]))) for row in ids]
        return [found[key] for key in keys if key in found]


def _ids(condition: str) -> str:
    """One of an event that was published twice: of the newest row."""
    return f"""SELECT trace_id, event_id, dedup_key != '', _partition, _offset FROM events_log
WHERE tenant_id = {{tenant:String}} AND received_at >= fromUnixTimestamp64Milli({{window:Int64}}){condition}
ORDER BY received_at DESC, _partition DESC, _offset DESC
LIMIT 1 BY trace_id, event_id, if(dedup_key = '', (_partition, _offset), (0, -1))
LIMIT {{limit:UInt64}} OFFSET {{offset:UInt64}}"""  # noqa: S608  constants only


def _rows(condition: str) -> str:
    return f"""SELECT {EVENT_COLUMNS}, _partition, _offset FROM events
WHERE tenant_id = {{tenant:String}} AND trace_id IN {{traces:Array(String)}} AND event_id IN {{events:Array(UInt64)}}
{condition}"""  # noqa: S608
