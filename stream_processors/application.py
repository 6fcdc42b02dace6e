"""The Faust app: one agent that folds agent-events into states and summaries.

agent-events -> Chunk -> fold -> trace-summaries: changed steps, a summary of every touched trace, the watermark
                              -> changelog, after that: changed states, then how far they reach

Between two chunks, idle traces are evicted.
"""

from __future__ import annotations

import gc
import sys
from asyncio import Future
from functools import partial
from typing import Any, cast

import faust
from faust.types.auth import CredentialsT
from yarl import URL

from axonstream.kafka.client import kafka_options
from axonstream.kafka.topics import Topics
from axonstream.process.fail_stop import FailStop
from axonstream.process.instance_name import client_name, static_member
from axonstream.process.log_lines import log_config
from axonstream.process.loop_share import LoopShare
from axonstream.settings.settings import Settings
from axonstream.stream_processors.eviction import Eviction
from axonstream.stream_processors.faust_adapter import chunked_transport
from axonstream.stream_processors.faust_adapter.chunk import Chunk, ChunkSchema
from axonstream.stream_processors.faust_adapter.chunked_consumer import ChunkedConsumer
from axonstream.stream_processors.faust_adapter.chunked_producer import ChunkedProducer
from axonstream.stream_processors.faust_adapter.prompt_tables import PromptTableManager
from axonstream.stream_processors.faust_adapter.trace_table import TraceTable
from axonstream.stream_processors.fold import fold_records
from axonstream.stream_processors.idle_order import EvictionRule
from axonstream.stream_processors.price_follower import PriceFollower
from axonstream.stream_processors.snapshots import announced, step_records, summary_record, watermark_record
from axonstream.stream_processors.topic_check import check_topics

QUEUED_CHUNKS = 64
GC_THRESHOLDS = (100_000, 50, 100)  # states and records hold no cycles; Python's own thresholds cost 40 % of the fold


class ReadyLine(faust.Sensor):
    """Says once on stdout that partitions are assigned, recovered and about to be read."""

    said = False

    def on_rebalance_end(self, app: Any, state: dict[Any, Any]) -> None:  # noqa: ARG002
        if not self.said:
            self.said = True
            print("ready processor", file=sys.__stdout__, flush=True)  # Faust may have put its log in place of stdout


class ProcessorApp(faust.App):
    """Checks the topics before anything starts."""

    topics_to_check: Settings
    followed: PriceFollower

    async def on_first_start(self) -> None:
        """Raises TopicsNotReadyError. Faust would make a data directory here; the table is in memory and needs none.

        Nothing is folded before the prices are known.
        """
        await check_topics(self.topics_to_check)
        gc.set_threshold(*GC_THRESHOLDS)
        self.add_future(self._follow_prices())  # which ends with the app
        await self.followed.loaded()

    async def _follow_prices(self) -> None:
        with FailStop():
            await self.followed.run()


def create_app(settings: Settings) -> ProcessorApp:
    """The app for these settings. Topics and changelog are made by `axonstream init`, never by Faust."""
    topics = Topics(settings.topic_prefix)
    app = ProcessorApp(
        topics.processor_app,
        broker=[
            URL(f"{chunked_transport.SCHEME}://{address.strip()}")
            for address in settings.kafka_bootstrap_servers.split(",")
        ],
        broker_credentials=_credentials(settings),
        broker_session_timeout=settings.session_timeout_ms / 1000,
        broker_heartbeat_interval=1.0,
        broker_rebalance_timeout=30.0,
        broker_request_timeout=max(30.0, settings.session_timeout_ms / 1000),
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        broker_client_id=client_name("processor", settings.processor_instance),
        consumer_group_instance_id=static_member(settings.processor_instance),
        producer_linger=0.0,
        producer_max_batch_size=512 << 10,
        producer_request_timeout=30.0,
        stream_wait_empty=False,
        store="memory://",
        Table=TraceTable,
        TableManager=PromptTableManager,
        table_standby_replicas=0,
        topic_partitions=settings.topic_partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        logging_config=log_config(settings.log_level),
    )
    app.topics_to_check = settings
    app.followed = PriceFollower(settings)
    app.sensors.add(ReadyLine())
    events = app.topic(topics.events, schema=ChunkSchema(), maxsize=QUEUED_CHUNKS)
    table = app.Table("traces", key_type=bytes, value_type=bytes, partitions=settings.topic_partitions)
    traces = cast("TraceTable", table).state_table

    def consumer() -> ChunkedConsumer:
        return cast("ChunkedConsumer", app.consumer)

    def producer() -> ChunkedProducer:
        return cast("ChunkedProducer", app.producer)

    rule = EvictionRule(settings.trace_idle_s, settings.max_live_traces)
    eviction = Eviction(consumer, producer, traces, topics, rule)

    def queue_output(chunk: Chunk) -> list[Future[Any]]:
        """Fold a chunk and queue what comes of it. I11: not a coroutine, so nothing can come in between."""
        folded = fold_records(
            chunk.records(), traces.states, chunk.partition, app.followed.prices, settings.max_open_steps
        )
        if chunk.is_pause:
            return []
        eviction.folded(folded.touched)
        note = chunk.note()
        shown = [
            *step_records(folded.steps),
            *(summary_record(key, state) for key, state in folded.touched.items()),
        ]
        said = announced(shown, chunk.start, note, partial(watermark_record, anew=chunk.begins_anew))
        of_states = partial(traces.queue_changelog, chunk.partition, folded.begun, folded.changelog, chunk.start, note)
        left = traces.queue_left(folded.left)
        if chunk.mark is not None:
            summaries = producer().queue(topics.summaries, chunk.partition, said)
            changelog = of_states(summaries)
        else:  # without records: a life that begins lower than the one before it says so to the changelog first
            changelog = of_states()
            summaries = producer().queue(topics.summaries, chunk.partition, said, changelog)
        for key in folded.forgotten:
            traces.forget(key)
        return [*left, *changelog, *summaries]

    @app.agent(events, concurrency=1)
    async def fold_traces(chunks: Any) -> None:
        share = LoopShare()
        async for chunk in chunks:
            with FailStop():
                chunk.settle(queue_output(chunk))
                await eviction.make_room()
                if share.is_over():  # chunks that are queued come without a turn for others
                    await share.give_way()

    return app


def _credentials(settings: Settings) -> CredentialsT | None:
    options = kafka_options(settings)
    context = options.get("ssl_context")
    if "sasl_mechanism" in options:
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None
