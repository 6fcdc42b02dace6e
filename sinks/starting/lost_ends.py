"""The log of a partition has lost its end: what it has lost, ClickHouse alone has, and its offsets are given again.

From the first offset that differs on, the rows of the old end get a number of their own as `_topic_epoch`. So they stay
and are shown, and the sink can store what stands at their offsets now. The log that goes on keeps its epoch.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiokafka import OffsetAndMetadata, TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.clickhouse.client import connect
from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.contract.step_record import COLUMNS as STEP_FIELDS
from axonstream.kafka.record_identity import CommitNote, marks_before
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.deleting.rows_to_go import NONE, rows_to_go
from axonstream.sinks.offsets.comparison import SLOWEST_ANSWER_S
from axonstream.sinks.offsets.log_times import summaries_since
from axonstream.sinks.positions.positions import Position
from axonstream.sinks.starting.common_part import common_end
from axonstream.sinks.summaries.made_summaries import fold_anew_from, summarise

log = logging.getLogger(__name__)

_WAIT = " SETTINGS mutations_sync = 2"
_LETTER = "topic, partition, offset, key, value, reason, tenant_id, trace_id, failed_at"
_DECISION = "topic, partition, offset, decision, decided_at"

_LOOK = """SELECT
  (SELECT count() FROM events_log WHERE _topic_epoch = {epoch:UInt32} AND _partition = {partition:UInt32}
    AND _offset >= {since:Int64}),
  (SELECT count() FROM dead_letters WHERE topic = {topic:String} AND _topic_epoch = {epoch:UInt32}
    AND partition = {partition:UInt32} AND offset >= {since:Int64}),
  (SELECT max(epoch) FROM lost_ends FINAL WHERE topic = {topic:String} AND partition = {partition:UInt32}
    AND of_epoch = {epoch:UInt32} AND is_done = 0)"""
_UNFINISHED = """SELECT partition, min(since) FROM lost_ends FINAL
WHERE topic = {topic:String} AND of_epoch = {epoch:UInt32} AND is_done = 0 GROUP BY partition"""
_BEYOND = 1 << 62  # every offset
_COPY = """INSERT INTO {table} ({columns}, _topic_epoch) SELECT {columns}, {{number:UInt32}} FROM {table} FINAL
WHERE topic = {{topic:String}} AND _topic_epoch = {{epoch:UInt32}} AND partition = {{partition:UInt32}}
  AND offset >= {{since:Int64}}"""
_COPY_STEPS = """INSERT INTO steps_log ({columns}, _topic_epoch, _partition)
SELECT {columns}, {{number:UInt32}}, _partition FROM steps_log FINAL
WHERE _topic_epoch = {{epoch:UInt32}} AND _partition = {{partition:UInt32}} AND step >= {{since:Int64}}"""
_NEWEST = "SELECT greatest((SELECT max(epoch) FROM topic_epochs), (SELECT max(epoch) FROM lost_ends))"


async def after_lost_end(
    settings: Settings,
    epoch: int,
    position: Position,
    high: int,
    rewind_summaries: Callable[[int], Awaitable[None]],
    deleted: DeletedTraces | None = None,
) -> Position:
    """The position to go on from, when the log of a partition is not the one that was stored up to `high`.

    `deleted` are the deletions as the control topic has them: rows that they are about to take are summarised nowhere.

    1. find the first offset at which the log has another record than the table;
    2. `rewind_summaries` to it: what step 6 takes back may be of the new records, and is then stored again;
    3. write down the number that the rows from there on will have, and make summaries of them under it; steps that
       began there get it as well;
    4. give it to dead letters and decisions, and forget where the old log had no records;
    5. give it to the rows;
    6. take back the summaries and steps of what is lost: the processor may have lost as much, and then knows of none;
    7. write down that this is done.

    Nothing is committed here but by `rewind_summaries`, and no summary may be stored meanwhile. A crash is repaired by
    running it again, under the same number. Raises KafkaError and clickhouse_connect's errors.
    """
    tp = position.partition
    client = await connect(settings, SLOWEST_ANSWER_S)
    try:
        # 1.
        since = await common_end(settings, client, epoch, tp, max(high, position.committed))
        since = max(position.log_start, min(since, position.committed, await _unfinished_since(client, epoch, tp)))
        # 2.
        await rewind_summaries(since)
        # 3. to 7.
        gone = NONE if deleted is None else await rows_to_go(client, Topics(settings.topic_prefix), deleted)
        rows = await _set_apart(client, epoch, tp, since, gone)
    finally:
        await client.close()
    log.error(
        "%s partition %s: Kafka has lost the end of its log and goes on at offset %s with other records. %s events "
        "that it had are in ClickHouse alone now, and stay; what it has from there on is stored",
        *(tp.topic, tp.partition, since, rows),
    )
    marks = await marks_before(settings, {tp: since})
    note = CommitNote(last=marks.get(tp), clickhouse=position.note.clickhouse)
    return replace(position, committed=since, metadata=note.encode(), log_end=max(position.log_end, since))


async def unfinished(client: AsyncClient, topic: str, epoch: int) -> set[TopicPartition]:
    """The partitions of which a process has ended between two steps, or its connection before ClickHouse had."""
    found = await client.query(_UNFINISHED, parameters={"topic": topic, "epoch": epoch})
    return {TopicPartition(topic, partition) for partition, _ in found.result_rows}


async def _unfinished_since(client: AsyncClient, epoch: int, tp: TopicPartition) -> int:
    found = await client.query(_UNFINISHED, parameters={"topic": tp.topic, "epoch": epoch})
    return min((since for partition, since in found.result_rows if partition == tp.partition), default=_BEYOND)


async def summaries_again(settings: Settings, position: Position, since: int) -> OffsetAndMetadata:
    """What to commit of trace-summaries, so that the summaries of events from `since` on are stored again."""
    start = await summaries_since(settings, position.partition.partition, max(0, since - 1))
    start = max(position.log_start, min(start, position.committed, position.log_end))
    folded = min(position.note.folded or 0, since)
    return OffsetAndMetadata(start, replace(position.note, folded=folded, folded_at=None, last=None).encode())


async def _set_apart(client: AsyncClient, epoch: int, tp: TopicPartition, since: int, gone: str) -> int:
    """Steps 3 to 7 of `after_lost_end`. How many rows had another record's place."""
    places = {"topic": tp.topic, "epoch": epoch, "partition": tp.partition, "since": since}
    rows, letters, begun = (await client.query(_LOOK, parameters=places)).result_rows[0]
    await client.command(
        f"ALTER TABLE absent_offsets DELETE WHERE _topic_epoch = {epoch:d} AND _partition = {tp.partition:d} "
        f"AND last_offset >= {since:d}{_WAIT}"
    )
    if not rows and not letters and not begun:
        await fold_anew_from(client, epoch, tp.partition, since, gone)
        return 0
    # 3.
    number = begun or await _next_number(client)
    await _note(client, tp, number, epoch, since, is_done=False)
    await summarise(client, tp.partition, number, epoch, since, gone)
    await client.command(_COPY_STEPS.format(columns=", ".join(STEP_FIELDS)), parameters=places | {"number": number})
    # 4.
    for table, columns in (("dead_letters", _LETTER), ("dead_letter_decisions", _DECISION)):
        await client.command(_COPY.format(table=table, columns=columns), parameters=places | {"number": number})
        await client.command(
            f"ALTER TABLE {table} DELETE WHERE topic = '{tp.topic}' AND _topic_epoch = {epoch:d} "
            f"AND partition = {tp.partition:d} AND offset >= {since:d}{_WAIT}"
        )
    # 5.
    await client.command(
        f"ALTER TABLE events_log UPDATE _topic_epoch = {number:d} WHERE _topic_epoch = {epoch:d} "
        f"AND _partition = {tp.partition:d} AND _offset >= {since:d}{_WAIT}"
    )
    # 6.
    await fold_anew_from(client, epoch, tp.partition, since, gone)
    # 7.
    await _note(client, tp, number, epoch, since, is_done=True)
    return rows


async def _note(client: AsyncClient, tp: TopicPartition, number: int, epoch: int, since: int, *, is_done: bool) -> None:
    await client.insert(
        "lost_ends",
        [[tp.topic, tp.partition, number, epoch, since, int(is_done)]],
        column_names=["topic", "partition", "epoch", "of_epoch", "since", "is_done"],
    )


async def _next_number(client: AsyncClient) -> int:
    return (await newest_number(client)) + 1


async def newest_number(client: AsyncClient) -> int:
    """The highest `_topic_epoch` that was ever given in this database."""
    ((known,),) = (await client.query(_NEWEST)).result_rows
    return int(known or 0)
