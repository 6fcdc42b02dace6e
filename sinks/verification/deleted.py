"""What is deleted, for the verification: it is neither lost nor in no summary, and it must not be there again."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.contract.event import Event
from axonstream.contract.record_validation import ValidationFailure
from axonstream.kafka.topic_identity import topic_identities
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.dead_letter import DeadLetter
from axonstream.sinks.deleting.control_deletions import ControlDeletions, following
from axonstream.sinks.deleting.deleted_rows import batches
from axonstream.sinks.deleting.finished import read_epochs, read_finished
from axonstream.sinks.deleting.late_events import LateEvents
from axonstream.sinks.read_record import ReadRecord
from axonstream.sinks.summaries.summary_lines import HiddenSummaries
from axonstream.sinks.verification.findings import Finding, Kind, Verification

_RETURNED = """SELECT tenant_id, trace_id, count() FROM {table} WHERE {condition}
GROUP BY tenant_id, trace_id ORDER BY ALL"""
_TABLES = ("events_log", "trace_summaries", "steps_log", "dead_letters")


class KnownDeletions:
    """Followed while the verification runs. Use `known_deletions`."""

    def __init__(self, followed: ControlDeletions, topic_id: str, finished: set[int]) -> None:
        self._followed = followed
        self._finished = finished
        self._late = LateEvents(followed.deleted, topic_id)
        self.hidden = HiddenSummaries(followed.deleted, topic_id)

    def explains(self, record: ReadRecord, judged: Event | ValidationFailure) -> bool:
        """Whether a record of the log is stored nowhere because it is of a deleted trace, or a marker."""
        if isinstance(judged, ValidationFailure):
            letter = DeadLetter.of(record, judged.reason)
            return self._late.is_marker(record) or self._late.passes_over_letter(letter, record)
        return self._late.passes_over(judged, record)

    def are_under_way(self, tenant_id: str, trace_id: str) -> bool:
        """Whether rows of this trace may be going just now, of one table and not yet of another."""
        return any(one.id not in self._finished for one in self._followed.deleted.of_trace(tenant_id, trace_id))

    async def check(self, client: AsyncClient, topics: Topics, result: Verification) -> None:
        """Adds rows that are there although their deletion was finished before the verification began."""
        recorded = self._followed.recorded.values()
        result.deletions = len(recorded)
        done = [one for one in recorded if one[1].id in self._finished]
        result.deleting = len(recorded) - len(done)
        for batch in batches(done, await read_epochs(client, topics), topics, self._followed.deleted):
            for table in _TABLES:
                sql = _RETURNED.format(table=table, condition=batch.conditions[table])
                for tenant_id, trace_id, rows in (await client.query(sql)).result_rows:
                    where = f"tenant {tenant_id} trace {trace_id}"
                    what = f"{rows} rows of {table} are there although the trace was deleted: delete it again"
                    result.add(Finding(Kind.RETURNED, where, what), rows)


@asynccontextmanager
async def known_deletions(settings: Settings, client: AsyncClient) -> AsyncGenerator[KnownDeletions]:
    """Raises KafkaError, NoTopicError and clickhouse_connect's errors when it cannot be said what is deleted."""
    [identity] = await topic_identities(settings, [Topics(settings.topic_prefix).events])
    finished = await read_finished(client)  # first: what is finished later is under way for this verification
    async with following(settings) as followed:
        yield KnownDeletions(followed, identity.topic_id, finished)
