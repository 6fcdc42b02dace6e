"""The SQL that deletes: which rows a deletion takes in, table by table. Pure.

A bound is an offset of one log. Rows of an epoch that is another log are deleted when the epoch is older than the
deletion; when the epoch is a later reading of the same log, its offsets are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.contract.deletion import Deletion
from axonstream.kafka.topics import Topics

MOST_SQL_BYTES = (
    110_000  # of the condition of one table; of dead_letters it is twice that, and ClickHouse takes 256 KiB
)

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


def batches(
    asked: Iterable[Asked], epochs: Sequence[Epoch], topics: Topics, deleted: DeletedTraces
) -> Iterator[DeletedRows]:
    """All of them, as many in one statement as fit: each statement makes ClickHouse look at every part.

    `deleted` says which traces take no events at all any more: a later deletion may have said otherwise.
    """
    some: list[Asked] = []
    size = 0
    rows = _Rows(epochs, topics, deleted)
    for one in asked:
        more = len(rows.condition(one, _EVENT).encode())
        if some and size + more > MOST_SQL_BYTES:
            yield rows.of(some)
            some, size = [], 0
        some.append(one)
        size += more
    if some:
        yield rows.of(some)


class _Place(NamedTuple):
    partition: str
    offset: str


_EVENT, _SUMMARY = _Place("_partition", "_offset"), _Place("_partition", "first_offset")
_STEP, _LETTER = _Place("_partition", "step"), _Place("partition", "offset")


class _Rows(NamedTuple):
    epochs: Sequence[Epoch]
    topics: Topics
    deleted: DeletedTraces

    def of(self, some: Sequence[Asked]) -> DeletedRows:
        def any_of(place: _Place) -> str:
            return " OR ".join(f"({self.condition(one, place)})" for one in some)

        events = literal(self.topics.events)
        # An offset of another topic says nothing: of its letters those go that are older than the deletion.
        older = "failed_at <= fromUnixTimestamp64Milli({})"
        others = " OR ".join(f"({self._where(one, older.format(one[1].at))})" for one in some)
        letters = f"(topic = {events} AND ({any_of(_LETTER)})) OR (topic != {events} AND ({others}))"
        conditions = {
            "events_log": any_of(_EVENT),
            "trace_summaries": any_of(_SUMMARY),
            "steps_log": any_of(_STEP),
            "dead_letters": letters,
        }
        return DeletedRows(tuple(some), {table: f"({sql})" for table, sql in conditions.items()})

    def condition(self, asked: Asked, place: _Place) -> str:
        """The rows of a table that a deletion takes in."""
        deletion = asked[1]
        same = [epoch.number for epoch in self.epochs if epoch.topic_id == deletion.topic_id]
        older = [e.number for e in self.epochs if e.topic_id != deletion.topic_id and e.made_at <= deletion.at]
        lost = sorted({epoch.number for epoch in self.epochs if not epoch.topic_id}.intersection(same))
        if deletion.lost_bounds:  # an end that was lost is measured by the marker that was lost with it
            same = [number for number in same if number not in lost]

        def below(bounds: Sequence[int]) -> str:
            return f"{place.offset} < [{_listed(bounds)}][{place.partition} + 1]"  # 0 for one that was added since

        reached = [
            *([f"_topic_epoch IN ({_listed(same)}) AND {below(deletion.bounds)}"] if same else []),
            *(
                [f"_topic_epoch IN ({_listed(lost)}) AND {below(deletion.lost_bounds)}"]
                if lost and deletion.lost_bounds
                else []
            ),
            *([f"_topic_epoch IN ({_listed(older)})"] if older else []),
        ]
        return self._where(asked, " OR ".join(f"({one})" for one in reached) or "0")

    def _where(self, asked: Asked, before: str) -> str:
        """All rows of what takes no events any more; of other traces, and of another tenant, those `before`."""
        tenant_id, deletion = asked
        own = f"tenant_id = {literal(tenant_id)}"
        if not deletion.trace_ids:
            return own if self.deleted.refuses_all(tenant_id) else f"{own} AND ({before})"
        refused = [trace_id for trace_id in deletion.trace_ids if self.deleted.refuses(tenant_id, trace_id)]
        others = [trace_id for trace_id in deletion.trace_ids if not self.deleted.refuses(tenant_id, trace_id)]
        either = [
            *([f"trace_id IN ({_listed(map(literal, refused))})"] if refused else []),
            *([f"trace_id IN ({_listed(map(literal, others))}) AND ({before})"] if others else []),
        ]
        return f"{own} AND ({' OR '.join(f'({one})' for one in either)})"


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def literal(text: str) -> str:
    """The text as ClickHouse reads it back: https://clickhouse.com/docs/sql-reference/syntax#string"""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
