"""GET /metrics: what the gateway has done and what it holds, in the Prometheus text format. Every name is here.

The numbers are plain attributes of the parts that count them, read when somebody asks. Labels have values of closed
sets alone: nothing that a sender sends is one, so a gateway has a bounded number of series, and none tells of a tenant.
https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import accumulate

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from starlette.responses import Response

from axonstream.gateway.access.concurrency_limits import ConcurrencyLimit
from axonstream.gateway.access.rate_limits import RateLimits
from axonstream.gateway.control.log import Control
from axonstream.gateway.http.body_room import BodyRoom
from axonstream.gateway.http.connections import Connections
from axonstream.gateway.http.request_counts import RequestCounts
from axonstream.gateway.live.tail import LiveTail
from axonstream.gateway.publishing.ingest import Ingest, Log
from axonstream.gateway.reading.late_reads import LateReads
from axonstream.gateway.reading.pipeline_lag import PipelineLag
from axonstream.gateway.reading.visibility import Visibility
from axonstream.gateway.routing.request import Request
from axonstream.gateway.shared_look import SharedLook
from axonstream.process.durations import Durations

_PATIENCE_S = 10.0
PREFIX = "axonstream_gateway_"
Labelled = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The parts of the gateway that count; `turns` by the work they are for."""

    requests: RequestCounts
    ingest: Ingest
    log: Log
    limits: RateLimits
    visibility: Visibility
    lag: PipelineLag
    late_reads: LateReads
    live: LiveTail
    control: Control
    turns: Mapping[str, ConcurrencyLimit]
    connections: Connections
    room: BodyRoom


class Metrics:
    """The handler. It asks for no key, as /health does: the numbers are the gateway's, none is a tenant's.

    They are counted together at most once a second, whoever asks.
    """

    def __init__(self, parts: Counted) -> None:
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._registry.register(GatewayCollector(parts))
        self._page = SharedLook(self._make_page)

    async def answer(self, _: Request) -> Response:
        """GET /metrics: 200."""
        return Response(await self._page.latest(_PATIENCE_S), 200, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    async def _make_page(self) -> bytes:
        return generate_latest(self._registry)


class GatewayCollector(Collector):
    """Makes the metrics from what the parts have counted."""

    def __init__(self, parts: Counted) -> None:
        self._parts = parts
        self._version = version("axonstream")

    def collect(self) -> Iterator[Metric]:
        """All of them, those at 0 as well."""
        yield _gauges("build_info", "The gateway's version, as a label.", ["version"], [((self._version,), 1)])
        yield from self._requests()
        yield from self._publishing()
        yield from self._reading()
        yield from self._live_streams()
        yield from self._control_data()
        yield from self._turns()
        yield from self._bounds()

    def _requests(self) -> Iterator[Metric]:
        requests = self._parts.requests
        answers = [
            ((*asked, str(status)), number)
            for asked, by_status in requests.answers.items()
            for status, number in by_status.items()
        ]
        yield _counters("http_requests", "Requests answered.", ["method", "route", "status"], answers)
        yield _histograms(
            "http_request_duration_seconds",
            "From a request's headers to its answer's headers; of a publish see publish_acknowledgement_seconds.",
            ["method", "route"],
            requests.durations.items(),
        )
        refused = [((limit,), number) for limit, number in self._parts.limits.refused.items()]
        yield _counters("rate_limited", "Requests refused with 429, by the limit that was reached.", ["limit"], refused)

    def _publishing(self) -> Iterator[Metric]:
        counts, backlog = self._parts.log.counts, self._parts.log.backlog()
        yield _histograms(
            "publish_acknowledgement_seconds",
            "From a valid publish request to Kafka's acknowledgement (acks=all) of all its events.",
            [],
            [((), counts.acknowledgement)],
        )
        yield _counter("events_acknowledged", "Events that Kafka has acknowledged.", counts.events)
        yield _counter("acknowledged_bytes", "Bytes of acknowledged batches, as sent to Kafka.", counts.event_bytes)
        yield _counter("batches_acknowledged", "Batches that Kafka has acknowledged.", counts.batches)
        yield _counter("batches_refused", "Batches that Kafka refused or did not take in time.", counts.refused_batches)
        yield _counter("producers_replaced", "Kafka producers replaced after an error.", counts.replaced_producers)
        yield _counter(
            "producers_set_aside",
            "Kafka producers set aside with a batch that was late, so that all other partitions go on.",
            counts.producers_set_aside,
        )
        yield _counter(
            "bodies_joined", "Publish requests that were an earlier one, sent again.", self._parts.ingest.repeats.joined
        )
        yield _counter(
            "bulk_events_refused",
            "Events of bulk requests that were refused while others of the request were looked at.",
            self._parts.ingest.refused_of_bulks,
        )
        yield _gauge("publishes_waiting", "Publish requests that wait for Kafka's acknowledgement.", backlog.callers)
        yield _gauge("outbox_events", "Events that wait to be sent to Kafka.", backlog.events)
        yield _gauge("outbox_bytes", "Bytes of the events that wait to be sent to Kafka.", backlog.event_bytes)
        yield _gauge("batches_in_flight", "Batches sent to Kafka and not acknowledged yet.", backlog.batches)
        yield _gauge(
            "batches_late", "Batches of them that were sent half a second ago or earlier.", backlog.late_batches
        )

    def _reading(self) -> Iterator[Metric]:
        visibility = self._parts.visibility
        stale = self._parts.requests.stale
        yield _counter("stale_answers", "Reads answered with X-Axonstream-Stale: true.", stale)
        yield _histograms(
            "read_wait_seconds",
            "How long reads waited until what was acknowledged before them could be read.",
            [],
            [((), visibility.waited)],
        )
        yield _gauge("reads_waiting", "Reads that wait for the pipeline.", visibility.waiting)
        yield _counter(
            "held_for_late_reads",
            "Publishes and reads of a loud tenant that waited for a late read of another.",
            self._parts.late_reads.held,
        )
        yield from self._pipeline()

    def _pipeline(self) -> Iterator[Metric]:
        lag = self._parts.lag
        seen = lag.state()
        lags = [(("events",), seen.events_lag_s or 0.0), (("summaries",), seen.summaries_lag_s or 0.0)]
        known = seen.events_lag_s is not None
        yield _gauge("pipeline_lag_known", "1 while Kafka tells how far the pipeline is; 0 makes both lags 0.", known)
        yield _gauges(
            "pipeline_lag_seconds", "Since the oldest event came that is not stored, or folded.", ["of"], lags
        )
        yield _gauge(
            "pipeline_standing_seconds", "For how long a partition has not moved while events wait.", seen.standing_s
        )
        yield _gauge("kafka_retention_seconds", "How long Kafka keeps events (by the settings).", lag.retention_s)

    def _live_streams(self) -> Iterator[Metric]:
        live = self._parts.live
        gaps = [((reason,), number) for reason, number in live.counts.gaps.items()]
        yield _gauge("live_streams", "Live streams that are open.", live.open)
        yield _gauge("live_streams_limit", "Live streams that may be open (AXONSTREAM_LIVE_MAX_STREAMS).", live.most)
        yield _counter("live_events_sent", "Events handed to the connections of live streams.", live.counts.events)
        yield _counters("live_gaps", "Gaps that readers of live streams were told of.", ["reason"], gaps)
        yield _gauge("live_ring_bytes", "Bytes of events held for live streams.", live.reader.ring.size)
        yield _gauge("live_ring_limit_bytes", "Their bound (AXONSTREAM_LIVE_BUFFER_BYTES).", live.most_ring_bytes)

    def _control_data(self) -> Iterator[Metric]:
        control = self._parts.control
        known = control.state() == "ok"
        yield _gauge(
            "control_data_known", "1 once keys, apps and channels are read; 0 before, and when that failed.", known
        )
        yield _gauge("control_data_offset", "Offset of the control topic up to which it is read.", control.offset)

    def _turns(self) -> Iterator[Metric]:
        turns = [((work,), each) for work, each in self._parts.turns.items()]
        labels = ["work"]
        in_use = [(work, each.in_use) for work, each in turns]
        waiting = [(work, each.waiting) for work, each in turns]
        limit = [(work, each.at_once) for work, each in turns]
        yield _gauges("turns_in_use", "Turns taken, of work that only a few requests may do at once.", labels, in_use)
        yield _gauges("turns_waiting", "Requests that wait for a turn.", labels, waiting)
        yield _gauges("turns_limit", "Turns that there are.", labels, limit)

    def _bounds(self) -> Iterator[Metric]:
        connections, room = self._parts.connections, self._parts.room
        refused = [((limit,), number) for limit, number in connections.refused.items()]
        yield _gauge("connections", "Connections that are open.", connections.open)
        yield _gauge(
            "connections_limit", "Connections that may be open (AXONSTREAM_GATEWAY_MAX_CONNECTIONS).", connections.most
        )
        yield _counters(
            "connections_refused", "Connections refused with 503, by the limit that was reached.", ["limit"], refused
        )
        yield _counter("late_heads", "Connections closed for want of a whole request head.", connections.late_heads)
        yield _gauge("body_bytes", "Bytes held of request bodies that came in pieces.", room.size)
        yield _gauge("body_bytes_limit", "Bytes of them that may be held.", room.most)


def _counter(name: str, text: str, value: float) -> Metric:
    return _counters(name, text, [], [((), value)])


def _counters(name: str, text: str, labels: list[str], values: Labelled) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for words, value in values:
        family.add_metric(words, value)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return _gauges(name, text, [], [((), value)])


def _gauges(name: str, text: str, labels: list[str], values: Labelled) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for words, value in values:
        family.add_metric(words, value)
    return family


def _histograms(name: str, text: str, labels: list[str], values: Iterable[tuple[tuple[str, ...], Durations]]) -> Metric:
    family = HistogramMetricFamily(PREFIX + name, text, labels=labels)
    for words, took in values:
        bounds = [floatToGoString(bound) for bound in (*took.bounds, float("inf"))]
        family.add_metric(words, list(zip(bounds, accumulate(took.counts), strict=True)), took.total_s)
    return family
