"""The SQL of the lists of events. Values are bound by the server; every query names the tenant (guarantee G6).

A list is in the order of arrival, the newest first. Which events it shows is asked first, of a few columns, within the
last hour and then at all; payloads are read of those alone, through the view that shows a repeated event once. Such an
event stands where it arrived first: what is published again while a list is read does not move, so that a walk by
cursor meets each event once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from axonstream.gateway.reading.bound_values import pieces
from axonstream.gateway.reading.clickhouse_reads import ClickHouseReads
from axonstream.gateway.reading.trace_queries import EVENT_COLUMNS, RAW
from axonstream.gateway.routing.answers import StoredEvent

_HOUR_MS = 3_600_000
_MOST_CANDIDATES = 10_000
# ClickHouse refuses a value of more than http_max_field_value_size, 128 KiB; an id has 19 digits at the most.
MOST_IN_A_VALUE = 4000


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What is wanted; None is anything. `since_ms` and `until_ms` bound `occurred_at`: at or after, and before."""

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
                sql.append(f"occurred_at {operator} fromUnixTimestamp64Milli({{{name}:Int64}})")
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


class _Candidate(NamedTuple):
    """A row that matches: the event's own, or one of its repeats."""

    trace_id: str
    event_id: int
    partition: int
    offset: int
    at: int

    @property
    def row(self) -> tuple[str, int, int, int]:
        return self[:4]

    @property
    def place(self) -> EventPlace:
        return EventPlace(self.at, self.partition, self.offset)


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
        """A page of the tenant's events, the newest first: after `offset` events, or after a place.

        Most often nothing is repeated, and the candidates are the page. Where some of them are repeats, more are asked
        for, twice as many each time.
        """
        condition, given = wanted.condition()
        given |= {"tenant": tenant_id}
        chosen: list[_Candidate] = []
        most, is_last = offset + limit, False
        while len(chosen) < offset + limit and not is_last:
            rows = await self._candidates(condition, given, most, now_ms, after)
            is_last = len(rows) < most
            if offset == 0 and not chosen:
                stored = await self._stored(tenant_id, rows)
                events = [stored[one.row] for one in rows if one.row in stored]
                if is_last or len(events) == limit:
                    return EventPage(events, None if is_last else rows[-1].place)
                firsts = stored.keys()
            else:
                firsts = await self._firsts(tenant_id, rows)
            chosen += [one for one in rows if one.row in firsts]
            after = rows[-1].place if rows else after
            most = min(2 * most, _MOST_CANDIDATES)
        page = chosen[offset : offset + limit]
        stored = await self._stored(tenant_id, page)
        events = [stored[one.row] for one in page if one.row in stored]
        return EventPage(events, page[-1].place if len(page) == limit else None)

    async def _candidates(
        self, condition: str, given: dict[str, Any], most: int, now_ms: int, after: EventPlace | None
    ) -> list[_Candidate]:
        """The next rows that match, the newest first; fewer than `most` when no more follow."""
        place: dict[str, int] = {}
        if after is not None:
            place = {"at": after.at, "at_partition": after.partition, "at_offset": after.offset}
            condition += _AFTER
        found: list[_Candidate] = []
        for since_ms in ((now_ms if after is None else after.at) - _HOUR_MS, 0):
            values = given | place | {"limit": most, "window": max(0, since_ms)}
            found = [
                _Candidate(*row) for row in await self._reads.rows(given["tenant"], events_page_sql(condition), values)
            ]
            if len(found) == most:
                break
        return found

    async def _firsts(self, tenant_id: str, rows: Sequence[_Candidate]) -> set[tuple[Any, ...]]:
        """Those rows that are the first of their events."""
        found: set[tuple[Any, ...]] = set()
        for given in _chosen(tenant_id, rows):
            found.update(map(tuple, await self._reads.rows(tenant_id, _FIRSTS, given)))
        return found

    async def _stored(self, tenant_id: str, rows: Sequence[_Candidate]) -> dict[tuple[Any, ...], StoredEvent]:
        """The events of those rows that are the first of them."""
        found: dict[tuple[Any, ...], StoredEvent] = {}
        for given in _chosen(tenant_id, rows):
            for *event, partition, offset in await self._reads.rows(tenant_id, _ROWS, given, column_formats=RAW):
                stored = StoredEvent(*event)
                found[stored.trace_id, stored.event_id, partition, offset] = stored
        return found


def _chosen(tenant_id: str, rows: Sequence[_Candidate]) -> Iterator[dict[str, Any]]:
    """The values of queries that name the events of `rows`."""
    for traces in pieces(sorted({one.trace_id for one in rows})):
        of_traces = set(traces)
        events = sorted({one.event_id for one in rows if one.trace_id in of_traces})
        for start in range(0, len(events), MOST_IN_A_VALUE):
            yield {"tenant": tenant_id, "traces": traces, "events": events[start : start + MOST_IN_A_VALUE]}


_AFTER = """ AND received_at <= fromUnixTimestamp64Milli({at:Int64})
  AND (received_at < fromUnixTimestamp64Milli({at:Int64})
    OR (_partition, _offset) < ({at_partition:UInt32}, {at_offset:Int64}))"""


def events_page_sql(condition: str) -> str:
    """The rows that match, the newest first; LIMIT BY leaves one of a record that was stored in two epochs."""
    return f"""SELECT trace_id, event_id, _partition, _offset, toUnixTimestamp64Milli(received_at)
FROM events_log
WHERE tenant_id = {{tenant:String}} AND received_at >= fromUnixTimestamp64Milli({{window:Int64}}){condition}
ORDER BY received_at DESC, _partition DESC, _offset DESC
LIMIT 1 BY trace_id, event_id, _partition, _offset
LIMIT {{limit:UInt64}}"""  # noqa: S608  constants only


_OF_EVENTS = """FROM events
WHERE tenant_id = {tenant:String} AND trace_id IN {traces:Array(String)} AND event_id IN {events:Array(UInt64)}"""
_FIRSTS = f"SELECT trace_id, event_id, _partition, _offset {_OF_EVENTS}"
_ROWS = f"SELECT {EVENT_COLUMNS}, _partition, _offset {_OF_EVENTS}"
