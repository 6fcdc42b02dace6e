"""Has ClickHouse delete what is deleted, for as long as rows of it are there. Run by the sink that owns partition 0.

A deletion may begin when every partition is stored and folded beyond its marker: until then rows below it still come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.contract.deletion import Deletion
from axonstream.kafka.errors import NoTopicError
from axonstream.kafka.record_identity import decode_note
from axonstream.kafka.topic_identity import topic_identities
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.deleting.absent_places import LETTERS, ROWS, remember_absent
from axonstream.sinks.deleting.control_deletions import ControlDeletions
from axonstream.sinks.deleting.deleted_rows import Asked, DeletedRows, batches, literal
from axonstream.sinks.deleting.finished import read_epochs, read_finished
from axonstream.sinks.membership.assignment import Assignment
from axonstream.sinks.writing.table_writer import CLICKHOUSE_ERRORS

log = logging.getLogger(__name__)

LOOK_S = 0.5
POLL_S = 0.2
_ASK_AGAIN_S = 60.0  # which deletions are finished: a ClickHouse that came from a backup has forgotten some
_TABLES = ("events_log", "dead_letters", "steps_log", "trace_summaries")
_UNDER_WAY = """SELECT latest_fail_reason FROM system.mutations
WHERE database = currentDatabase() AND table = {table:String} AND NOT is_done AND NOT is_killed"""


class Deleter:
    """Deletions that come together are deleted together; between two batches there is a pause (settings).

    It repeats nothing by guess: a statement is sent only while rows are there that match and no other one runs. So it
    may die at any moment, and a second one does no harm.
    """

    def __init__(
        self,
        settings: Settings,
        client: AsyncClient,
        consumer: AIOKafkaConsumer,
        assignment: Assignment,
        deletions: ControlDeletions,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._client = client
        self._consumer = consumer
        self._assignment = assignment
        self._deletions = deletions
        self._clock = clock
        self._topics = Topics(settings.topic_prefix)
        self._finished: set[int] = set()
        self._ask_again_at = self._next_at = float("-inf")
        cluster = settings.clickhouse_cluster
        self._on_cluster = f" ON CLUSTER `{cluster}`" if cluster else ""
        self._wait = {"mutations_sync": 2} if cluster else {}  # all replicas; one server is asked for its rows instead

    async def run(self) -> None:
        """Until it is cancelled."""
        await self._deletions.loaded()
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except (KafkaError, NoTopicError, *CLICKHOUSE_ERRORS) as error:
                log.warning("what is deleted cannot be deleted in ClickHouse now, trying again: %s", error)

    async def look(self) -> None:
        """One batch, if it is time for one. Raises KafkaError, NoTopicError and clickhouse_connect's errors."""
        if not self._deletions.recorded or not self._assignment.owns(TopicPartition(self._topics.events, 0)):
            return
        if self._clock() >= self._ask_again_at:
            self._finished = await read_finished(self._client)
            self._ask_again_at = self._clock() + _ASK_AGAIN_S
        asked = [one for number, one in self._deletions.recorded.items() if number not in self._finished]
        asked = [one for one in asked if one[1].bounds]
        if not asked or self._clock() < self._next_at:
            return
        ready = await self._passed(asked)
        epochs = await read_epochs(self._client, self._topics)
        for batch in batches(ready, epochs, self._topics, self._deletions.deleted):
            await self._delete(batch)
            self._next_at = self._clock() + self._settings.deletion_pause_s

    async def _passed(self, asked: Sequence[Asked]) -> list[Asked]:
        """Those whose markers are behind what is stored and folded."""
        [identity] = await topic_identities(self._settings, [self._topics.events])
        partitions = range(max(len(deletion.bounds) for _, deletion in asked))
        coordinator: Any = self._consumer._coordinator
        events = [TopicPartition(self._topics.events, p) for p in partitions]
        summaries = [TopicPartition(self._topics.summaries, p) for p in partitions]
        committed = await coordinator.fetch_committed_offsets([*events, *summaries])

        def reached(partition: int) -> int:
            stored, folded = committed.get(events[partition]), committed.get(summaries[partition])
            note = decode_note(folded.metadata if folded else "")
            return min(stored.offset if stored else 0, note.folded or 0)

        def is_passed(deletion: Deletion) -> bool:
            of_this_log = deletion.topic_id == identity.topic_id
            return not of_this_log or all(reached(p) > bound for p, bound in enumerate(deletion.bounds))

        return [one for one in asked if is_passed(one[1])]

    async def _delete(self, batch: DeletedRows) -> None:
        """The steps, each of which may be done again:

        1. remember their places as absent: the comparison with the log must not call them lost;
        2. delete the rows, table by table, until none is there;
        3. only then say that the deletions are finished: from now on reads find nothing, instead of being told.
        """
        await remember_absent(self._client, ROWS, batch.conditions[ROWS.table])
        of_events = f"topic = {literal(self._topics.events)} AND {batch.conditions[LETTERS.table]}"
        await remember_absent(self._client, LETTERS, of_events)
        for table in _TABLES:
            if not await self._until_gone(table, batch):
                return
        numbers = [[deletion.id] for _, deletion in batch.deletions]
        await self._client.insert("finished_deletions", numbers, column_names=["id"], settings={"async_insert": 0})
        self._finished.update(number for (number,) in numbers)
        log.info("%s deletions are finished in ClickHouse", len(numbers))

    async def _until_gone(self, table: str, batch: DeletedRows) -> bool:
        """False when the batch has to be made anew: a later deletion lets events in that this one would take, too."""
        told, condition = "", batch.conditions[table]
        refused = self._refused(batch)
        while await self._rows(f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1"):  # noqa: S608  literals are escaped
            under_way = await self._rows(_UNDER_WAY, table=table)
            if not under_way:
                await self._client.command(self.statement(table, condition), settings=self._wait)
            elif under_way[0][0] not in ("", told):
                told = under_way[0][0]
                log.error("ClickHouse cannot change %s, and so deletes nothing: %s", table, told[:500])
            await asyncio.sleep(POLL_S)
            if self._refused(batch) != refused:
                return False
        return True

    def _refused(self, batch: DeletedRows) -> list[bool]:
        """Of the tenants and traces of the batch, whether late events are refused: its conditions depend on it."""
        deleted, found = self._deletions.deleted, list[bool]()
        for tenant_id, deletion in batch.deletions:
            found.append(deleted.refuses_all(tenant_id))
            found += (deleted.refuses(tenant_id, trace_id) for trace_id in deletion.trace_ids)
        return found

    def statement(self, table: str, condition: str) -> str:
        """It names the database, as those of the schema do: a replica has a default of its own."""
        where = f"`{self._settings.clickhouse_database}`.{table}{self._on_cluster}"
        return f"ALTER TABLE {where} DELETE WHERE {condition}"

    async def _rows(self, sql: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        return (await self._client.query(sql, parameters=parameters)).result_rows
