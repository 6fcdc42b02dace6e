"""The SQL that deletes: which rows a deletion takes in, table by table. Pure.

A bound is an offset of one log. Rows of an epoch that is another log are deleted when the epoch is older than the
deletion; when the epoch is a later reading of the same log, its offsets are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from producers.deletion import Deletion, Late
from producers.topics import Topics

MOST_SQL_BYTES = 150_000  # of the condition of one statement; ClickHouse takes statements of 256 KiB

Asked = tuple[str, Deletion]  # with its tenant


class Epoch(NamedTuple):
    """One of agent-events; `made_at` is ms since 1970."""

    number: int
    topic_id: str
    made_at: int


class DeletedRows(NamedTuple):
    """The conditions of one batch of deletions, by table."""

    deletions: Sequence[Asked]
    conditions: dict[str, str]


def batches(asked: Iterable[Asked], epochs: Sequence[Epoch], topics: Topics) -> Iterator[DeletedRows]:
    """All of them, as many in one statement as fit: each statement makes ClickHouse look at every part."""
    some: list[Asked] = []
    size = 0
    for one in asked:
        more = len(_condition(one, epochs, _EVENT).encode())
        if some and size + more > MOST_SQL_BYTES:
            yield _rows(some, epochs, topics)
            some, size = [], 0
        some.append(one)
        size += more
    if some:
        yield _rows(some, epochs, topics)


class _Place(NamedTuple):
    partition: str
    offset: str


_EVENT, _SUMMARY, _LETTER = (
    _Place("_partition", "_offset"),
    _Place("_partition", "first_offset"),
    _Place("partition", "offset"),
)


def _rows(some: Sequence[Asked], epochs: Sequence[Epoch], topics: Topics) -> DeletedRows:
    def any_of(place: _Place) -> str:
        return " OR ".join(f"({_condition(one, epochs, place)})" for one in some)

    events = literal(topics.events)
    others = " OR ".join(f"({_whose(one)} AND {_until(one[1])})" for one in some)  # an offset there says nothing
    letters = f"(topic = {events} AND ({any_of(_LETTER)})) OR (topic != {events} AND ({others}))"
    conditions = {"events_log": any_of(_EVENT), "trace_summaries": any_of(_SUMMARY), "dead_letters": letters}
    return DeletedRows(tuple(some), {table: f"({sql})" for table, sql in conditions.items()})


def _until(deletion: Deletion) -> str:
    """Of letters that are not of events: those before the deletion, where later ones are kept."""
    if deletion.late is Late.REFUSED and deletion.trace_ids:
        return "1"
    return f"failed_at <= fromUnixTimestamp64Milli({deletion.at})"


def _condition(asked: Asked, epochs: Sequence[Epoch], place: _Place) -> str:
    deletion = asked[1]
    whose = _whose(asked)
    if deletion.late is Late.REFUSED and deletion.trace_ids:
        return whose
    same = [epoch.number for epoch in epochs if epoch.topic_id == deletion.topic_id]
    older = [e.number for e in epochs if e.topic_id != deletion.topic_id and e.made_at <= deletion.at]
    bounds = ", ".join(map(str, deletion.bounds))
    below = f"{place.offset} < [{bounds}][{place.partition} + 1]"  # a partition that was added since has no bound: 0
    reached = [
        *([f"_topic_epoch IN ({_listed(same)}) AND {below}"] if same else []),
        *([f"_topic_epoch IN ({_listed(older)})"] if older else []),
    ]
    return f"{whose} AND ({' OR '.join(f'({one})' for one in reached) or '0'})"


def _whose(asked: Asked) -> str:
    tenant_id, deletion = asked
    traces = ", ".join(map(literal, deletion.trace_ids))
    return f"tenant_id = {literal(tenant_id)}" + (f" AND trace_id IN ({traces})" if traces else "")


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def literal(text: str) -> str:
    """The text as ClickHouse reads it back: https://clickhouse.com/docs/sql-reference/syntax#string"""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
