"""The SQL of the lists of events. Values are bound by the server; every query names the tenant (guarantee G6).

A list is in the order of arrival, the newest first. Which events it shows is asked first, of a few columns, within the
last hour and then at all; payloads are read of those alone, through the view that shows a repeated event once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.answers import StoredEvent
from gateway.reading.bound_values import pieces
from gateway.reading.clickhouse_reads import ClickHouseReads
from gateway.reading.trace_queries import EVENT_COLUMNS, RAW

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


class EventPlace(NamedTuple):
    """An event's place in a list: its arrival (ms since 1970), and its place in the log."""

    at: int
    partition: int
    offset: int


class EventPage(NamedTuple):
    """`end` is the place of the last event of a full page; None where nothing follows."""

    events: list[StoredEvent]
    end: EventPlace | None


class EventQueries:
    """What is asked of lists of events; `reads` says which errors calls raise."""

    def __init__(self, reads: ClickHouseReads) -> None:
        self._reads = reads

    async def page(
        self,
        tenant_id: str,
        wanted: EventFilter,
        limit: int,
        offset: int,
        now_ms: int,
        after: EventPlace | None = None,
    ) -> EventPage:
        """A page of the tenant's events, the newest first: after `offset` events, or after a place."""
        condition, given = wanted.condition()
        given |= {"tenant": tenant_id, "limit": limit, "offset": offset}
        ids: list[Sequence[Any]] = []
        for since_ms in ((now_ms if after is None else after.at) - _HOUR_MS, 0):
            ids = await self._ids(condition, given | {"window": max(0, since_ms)}, after)
            if len(ids) == limit:
                break
        found: dict[tuple[Any, ...], StoredEvent] = {}
        events = sorted({row[1] for row in ids})
        for traces in pieces(sorted({row[0] for row in ids})):
            chosen = given | {"traces": traces, "events": events}
            for *event, partition, offset_ in await self._reads.rows(
                tenant_id, _rows(condition), chosen, column_formats=RAW
            ):
                stored = StoredEvent(*event)
                place = (0, -1) if stored.dedup_key else (partition, offset_)
                found[stored.trace_id, stored.event_id, *place] = stored
        keys = [(row[0], row[1], *((0, -1) if row[2] else (row[3], row[4]))) for row in ids]
        end = EventPlace(ids[-1][5], ids[-1][3], ids[-1][4]) if len(ids) == limit else None
        return EventPage([found[key] for key in keys if key in found], end)

    async def _ids(self, condition: str, given: dict[str, Any], after: EventPlace | None) -> list[Sequence[Any]]:
        """What makes the page. Of what was published twice, what stands after the place may have been shown before."""
        tenant_id = given["tenant"]
        if after is None:
            return list(await self._reads.rows(tenant_id, _ids(condition), given))
        found: list[Sequence[Any]] = []
        while len(found) < given["limit"]:
            place = {"offset": 0, "at": after.at, "at_partition": after.partition, "at_offset": after.offset}
            rows = await self._reads.rows(tenant_id, _ids(condition + _AFTER), given | place)
            newest: dict[tuple[Any, ...], EventPlace] = {}
            repeated = [row for row in rows if row[2]]
            events = sorted({row[1] for row in repeated})
            for traces in pieces(sorted({row[0] for row in repeated})):
                chosen = given | {"traces": traces, "events": events}
                for trace_id, event_id, at, partition, offset in await self._reads.rows(
                    tenant_id, _newest(condition), chosen
                ):
                    newest[trace_id, event_id] = EventPlace(at, partition, offset)
            found += [row for row in rows if not row[2] or newest.get((row[0], row[1])) == (row[5], row[3], row[4])]
            if len(rows) < given["limit"]:
                break
            after = EventPlace(rows[-1][5], rows[-1][3], rows[-1][4])
        return found[: given["limit"]]


_AFTER = """ AND received_at <= fromUnixTimestamp64Milli({at:Int64})
  AND (received_at < fromUnixTimestamp64Milli({at:Int64})
    OR (_partition, _offset) < ({at_partition:UInt32}, {at_offset:Int64}))"""


def _ids(condition: str) -> str:
    """One of an event that was published twice: of the newest row."""
    return f"""SELECT trace_id, event_id, dedup_key != '', _partition, _offset, toUnixTimestamp64Milli(received_at)
FROM events_log
WHERE tenant_id = {{tenant:String}} AND received_at >= fromUnixTimestamp64Milli({{window:Int64}}){condition}
ORDER BY received_at DESC, _partition DESC, _offset DESC
LIMIT 1 BY trace_id, event_id, if(dedup_key = '', (_partition, _offset), (0, -1))
LIMIT {{limit:UInt64}} OFFSET {{offset:UInt64}}"""  # noqa: S608  constants only


def _newest(condition: str) -> str:
    return f"""SELECT trace_id, event_id, toUnixTimestamp64Milli((max((received_at, _partition, _offset)) AS last).1),
  last.2, last.3
FROM events_log
WHERE tenant_id = {{tenant:String}} AND trace_id IN {{traces:Array(String)}} AND event_id IN {{events:Array(UInt64)}}
  AND dedup_key != ''{condition}
GROUP BY trace_id, event_id"""  # noqa: S608


def _rows(condition: str) -> str:
    return f"""SELECT {EVENT_COLUMNS}, _partition, _offset FROM events
WHERE tenant_id = {{tenant:String}} AND trace_id IN {{traces:Array(String)}} AND event_id IN {{events:Array(UInt64)}}
{condition}"""  # noqa: S608
