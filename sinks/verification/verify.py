"""The whole verification, on the Kafka and the ClickHouse of the settings."""

from __future__ import annotations

from axonstream.clickhouse.client import connect
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.positions.incarnations import current_epoch
from axonstream.sinks.verification.contents import Contents
from axonstream.sinks.verification.deleted import known_deletions
from axonstream.sinks.verification.findings import Verification
from axonstream.sinks.verification.log_state import events_log
from axonstream.sinks.verification.stored_offsets import StoredOffsets
from axonstream.sinks.verification.summary_check import SummaryCheck

SLOWEST_ANSWER_S = 600  # one query reads whole columns of the largest table


async def verify(settings: Settings, *, most: int = 1000, deep: bool = False) -> Verification:
    """Compare the log with the tables, and the summaries with the events. May run beside a working pipeline.

    Places are compared everywhere, contents at both ends of each partition, or everywhere with `deep`. Keeps at most
    `most` findings. Raises EpochError when ClickHouse was filled from another Kafka, ProducerError, KafkaError and
    clickhouse_connect's errors when a server does not answer.
    """
    result = Verification(most)
    client = await connect(settings, SLOWEST_ANSWER_S)
    try:
        epoch = await current_epoch(settings, client)
        async with events_log(settings) as (log, states), known_deletions(settings, client) as deletions:
            await StoredOffsets(settings, client, epoch, result, deletions).check(log, states)
            await Contents(settings, client, epoch, result).check(log, states, deep=deep)
            await SummaryCheck(settings, client, epoch, result, deletions).check(log, states)
            await deletions.check(client, Topics(settings.topic_prefix), result)
    finally:
        await client.close()
    return result
