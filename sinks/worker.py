"""The sink process: one member of the consumer group, two flows, one ClickHouse client."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from typing import Any, cast

import uvloop
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.clickhouse.client import connect
from axonstream.kafka.client import kafka_options, survive_closed_transports
from axonstream.kafka.committed_offsets import heed_whole_answers
from axonstream.kafka.coordinator_lookup import look_up_promptly
from axonstream.kafka.errors import NoTopicError
from axonstream.kafka.leader_watch import LeaderWatch
from axonstream.kafka.lease import MARGIN_S, Lease
from axonstream.kafka.membership import Membership, watch_membership
from axonstream.kafka.patient_fetch import fetch_patiently
from axonstream.kafka.slim_records import consume_slim_records
from axonstream.kafka.topics import Topics
from axonstream.process.errors import NameTakenError
from axonstream.process.fail_stop import stop_process
from axonstream.process.instance_name import client_name, static_member
from axonstream.process.log_lines import log_to_stderr
from axonstream.process.own_name import own_name
from axonstream.settings.settings import Settings
from axonstream.sinks.dead_letters.writer import DeadLetters
from axonstream.sinks.deleting.control_deletions import ControlDeletions
from axonstream.sinks.deleting.deleter import Deleter
from axonstream.sinks.errors import (
    EXIT_MISMATCH,
    EXIT_UNAVAILABLE,
    DeadLettersError,
    EpochError,
    MigrationError,
    SettingsError,
    TableRefusesError,
    TooManyBadEventsError,
)
from axonstream.sinks.events.event_flow import EventFlow
from axonstream.sinks.membership.assignment import Assignment, RebalanceListener
from axonstream.sinks.membership.name_holder import held_elsewhere
from axonstream.sinks.retry import Backoff
from axonstream.sinks.sink_parts import SinkParts
from axonstream.sinks.summaries.summary_flow import SummaryFlow
from axonstream.sinks.topic_flow import TopicFlow
from axonstream.sinks.topic_reader import TopicReader
from axonstream.sinks.writing.server_restarts import ServerLives, watch_restarts
from axonstream.sinks.writing.table_writer import CLICKHOUSE_ERRORS, TableWriter

log = logging.getLogger(__name__)

HEARTBEAT_MS = 1000
DRAIN_S = 4.0
FETCH_BYTES = 1 << 20  # of one partition, at a time
FETCH_WAIT_MS = 100  # of a fetch that finds nothing; a partition that was not asked for waits as long
WATCH_S = 0.5
A_DAY_MS = 24 * 3600 * 1000
GC_THRESHOLDS = (100_000, 50, 100)  # a batch is many objects, and none of them is garbage before its end


def run(settings: Settings) -> None:
    """Blocks until SIGTERM or SIGINT; what is under way is finished and committed within DRAIN_S.

    Prints "ready sink" once partitions are assigned and their ledgers are loaded. Exits with EXIT_MISMATCH when a
    restart cannot help, with another non-zero code when it can.
    """
    log_to_stderr(settings.log_level)
    survive_closed_transports()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with own_name(settings, "sink", settings.sink_instance) as place:
            uvloop.run(_run(settings, place))
    except* NameTakenError as group:
        for error in single_errors(group):
            stop_process(error, EXIT_MISMATCH)
    except* (
        EpochError,
        NoTopicError,
        MigrationError,
        SettingsError,
        TableRefusesError,
        TooManyBadEventsError,
    ) as group:
        for error in single_errors(group):
            log.critical("the sink stops: %s", error)
        sys.exit(EXIT_MISMATCH)
    except* DeadLettersError as group:
        for error in single_errors(group):
            log.critical("the sink stops, to be started again: %s", error)
        sys.exit(EXIT_UNAVAILABLE)


def single_errors(error: BaseException) -> Iterator[BaseException]:
    """The errors in groups of groups, as nested task groups raise them."""
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from single_errors(inner)
    else:
        yield error


async def _run(settings: Settings, place: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await work_until(settings, stop, on_ready=lambda: print("ready sink", flush=True), place=place)


async def work_until(
    settings: Settings, stop: asyncio.Event, on_ready: Callable[[], None] = lambda: None, place: str = ""
) -> None:
    """A sink in the running loop, until `stop` is set; what is under way is finished within DRAIN_S. Raises groups.

    `place` is where its name is held (see own_name.py).
    """
    lease_s = _lease_s(settings)
    async with asyncio.TaskGroup() as group:
        assignment = Assignment(Lease(lease_s))
        work = group.create_task(_work(settings, assignment, place, stop, on_ready))
        stopping = group.create_task(stop.wait())
        await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            await asyncio.wait([work], timeout=DRAIN_S)
        work.cancel()
        stopping.cancel()


def _lease_s(settings: Settings) -> float:
    lease_ms = settings.session_timeout_ms - settings.insert_timeout_ms
    if lease_ms <= HEARTBEAT_MS + 1000 * MARGIN_S:
        raise SettingsError(
            f"AXONSTREAM_INSERT_TIMEOUT_MS ({settings.insert_timeout_ms}) must be more than "
            f"{HEARTBEAT_MS + 1000 * MARGIN_S:.0f} below AXONSTREAM_SESSION_TIMEOUT_MS ({settings.session_timeout_ms})"
        )
    return lease_ms / 1000


async def _work(
    settings: Settings, assignment: Assignment, place: str, stop: asyncio.Event, on_ready: Callable[[], None]
) -> None:
    topics = Topics(settings.topic_prefix)
    async with AsyncExitStack() as stack:
        client = await _reach_clickhouse(settings)
        stack.push_async_callback(client.close)
        lives = ServerLives()
        with suppress(*CLICKHOUSE_ERRORS):
            await lives.look(client)
        dead_letters = DeadLetters(settings, client)
        stack.push_async_callback(dead_letters.stop)
        consumer = await _reach_kafka(settings, assignment, place)
        stack.push_async_callback(_leave, consumer)

        deletions = ControlDeletions(settings)
        ready = _Ready({topics.events, topics.summaries}, on_ready)
        parts = SinkParts(settings, client, TableWriter(client, settings), dead_letters, deletions)
        watch = LeaderWatch(consumer)
        events = TopicReader(settings, consumer, watch, topics.events)
        summaries = TopicReader(settings, consumer, watch, topics.summaries)
        flows = (
            TopicFlow(settings, events, EventFlow(parts, events).begin, lambda: ready.begun(topics.events)),
            TopicFlow(settings, summaries, SummaryFlow(parts, summaries).begin, lambda: ready.begun(topics.summaries)),
        )
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(flow.run(assignment)) for flow in flows]
            running.append(group.create_task(_watch_group(consumer)))
            running.append(group.create_task(deletions.run()))
            running.append(group.create_task(Deleter(settings, client, consumer, assignment, deletions).run()))
            running.append(group.create_task(watch_restarts(client, lives, assignment)))
            await stop.wait()
            await assignment.end()
            for task in running:
                task.cancel()


async def _leave(consumer: AIOKafkaConsumer) -> None:
    """Stop the consumer in a task of its own: aiokafka awaits tasks that it has cancelled.

    Their CancelledError would take the place of the error that ends this process, which would then exit with 0.
    """
    _, late = await asyncio.wait([asyncio.ensure_future(consumer.stop())], timeout=DRAIN_S)
    for stopping in late:
        stopping.cancel()


async def _watch_group(consumer: AIOKafkaConsumer) -> None:
    """Ends the process with the group's error: aiokafka tells it to a fetch alone, and none is under way while no
    partitions are assigned."""
    coordinator: Any = consumer._coordinator
    while True:
        coordinator.check_errors()
        await asyncio.sleep(WATCH_S)


class _Ready:
    """Says so, once, when every topic has begun."""

    def __init__(self, topics: set[str], on_ready: Callable[[], None]) -> None:
        self._missing = topics
        self._on_ready = on_ready

    def begun(self, topic: str) -> None:
        if topic in self._missing:
            self._missing.remove(topic)
            if not self._missing:
                self._on_ready()


async def _reach_clickhouse(settings: Settings) -> AsyncClient:
    backoff = Backoff()
    while True:
        try:
            return await connect(settings)
        except CLICKHOUSE_ERRORS as error:
            log.warning("ClickHouse does not answer at %s, trying again: %s", settings.clickhouse_url, error)
        await asyncio.sleep(backoff.next_s())


async def _reach_kafka(settings: Settings, assignment: Assignment, place: str) -> AIOKafkaConsumer:
    topics = Topics(settings.topic_prefix)
    name = settings.sink_instance
    client_id = f"{name}-{place}" if name and place else client_name("sink", name)
    backoff = Backoff()
    while True:
        consumer = AIOKafkaConsumer(
            **kafka_options(settings),
            group_id=topics.sink_group,
            client_id=client_id,
            group_instance_id=static_member(name),
            partition_assignment_strategy=(RangePartitionAssignor,),
            enable_auto_commit=False,
            auto_offset_reset="none",
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=HEARTBEAT_MS,
            max_poll_interval_ms=A_DAY_MS,  # a long retry is no dead member: the heartbeat says who lives
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=settings.sink_max_bytes,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        try:
            await consumer.start()
            look_up_promptly(consumer)
            if name and await held_elsewhere(consumer, name, client_id):
                log.warning("another machine may run a sink under the same name, %s: waiting until it has ended", name)
                assignment.expect_rival()
        except KafkaError as error:
            log.warning("Kafka does not answer at %s, trying again: %r", settings.kafka_bootstrap_servers, error)
            with suppress(KafkaError):
                await consumer.stop()
        else:
            named_by = name and f"AXONSTREAM_SINK_INSTANCE={name}"
            session_s = settings.session_timeout_ms / 1000
            membership = Membership(assignment.lease, session_s, named_by, on_rival=assignment.expect_rival)
            watch_membership(consumer, membership)
            consume_slim_records(consumer, lambda _: True)
            fetch_patiently(consumer)
            heed_whole_answers(consumer)
            consumer.subscribe([topics.events, topics.summaries], listener=RebalanceListener(assignment))
            return consumer
        await asyncio.sleep(backoff.next_s())
