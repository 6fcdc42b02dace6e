"""The parts of one gateway, put together from its settings. Nothing here connects to anything."""

from __future__ import annotations

import time

from axonstream.contract.event_ids import EventIds
from axonstream.gateway.access.authentication import Authentication
from axonstream.gateway.access.rate_limits import RateLimits
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.log import Control, ControlLog
from axonstream.gateway.control.published_channels import PublishedChannels
from axonstream.gateway.control.webhook_secrets import WebhookSecrets
from axonstream.gateway.deleting.deletions import Deletions
from axonstream.gateway.deleting.markers import LogMarkers, Markers
from axonstream.gateway.deleting.route_table import deleting_routes
from axonstream.gateway.deleting.routes import Deleting
from axonstream.gateway.health import Health
from axonstream.gateway.http.body_room import BodyRoom
from axonstream.gateway.http.connections import Connections
from axonstream.gateway.http.request_counts import RequestCounts
from axonstream.gateway.live.route_table import live_routes
from axonstream.gateway.live.tail import LiveTail
from axonstream.gateway.managing.apps import Apps
from axonstream.gateway.managing.channels import Channels
from axonstream.gateway.managing.route_table import managing_routes
from axonstream.gateway.managing.routes import Managing
from axonstream.gateway.managing.webhook_endpoints import WebhookEndpoints
from axonstream.gateway.metrics import Counted, Metrics
from axonstream.gateway.openapi import OpenApi
from axonstream.gateway.otlp import OTLP_ROUTES
from axonstream.gateway.publishing.ingest import Ingest, Log
from axonstream.gateway.publishing.route_table import publishing_routes
from axonstream.gateway.reading.being_deleted import BeingDeleted
from axonstream.gateway.reading.clickhouse_reads import ClickHouseReads
from axonstream.gateway.reading.event_lists import EventLists
from axonstream.gateway.reading.event_queries import EventQueries
from axonstream.gateway.reading.late_reads import LateReads
from axonstream.gateway.reading.pipeline_lag import PipelineLag
from axonstream.gateway.reading.pipeline_offsets import PipelineOffsets
from axonstream.gateway.reading.route_table import reading_routes
from axonstream.gateway.reading.trace_queries import TraceQueries
from axonstream.gateway.reading.trace_reads import TraceReads
from axonstream.gateway.reading.visibility import Visibility
from axonstream.gateway.routing.browser_pages import BrowserPages
from axonstream.gateway.routing.route import Route
from axonstream.gateway.sealed_texts import SealedTexts, sealing_key
from axonstream.producers.event_log import EventLog
from axonstream.settings.settings import Settings
from axonstream.unix_ms import now_ms


class Parts:
    """What the packages share is made first, and then what each of them does. `routes` are all that are answered."""

    def __init__(self, settings: Settings, log: Log | None, control: Control | None, markers: Markers | None) -> None:
        self.settings = settings
        self.secret = settings.server_secret.get_secret_value().encode()
        self.log = EventLog.from_settings(settings) if log is None else log
        self.control = ControlLog(settings, ControlData(self.secret)) if control is None else control
        per_key, per_tenant = settings.rate_limit_key_per_s, settings.rate_limit_tenant_per_s
        self.limits = RateLimits(per_key, per_tenant, settings.rate_limit_burst_s, time.monotonic)
        self.authentication = Authentication(
            settings.tenants_by_key(), self.control.data, self.secret, now_ms, self.limits
        )
        self.channels = PublishedChannels(
            self.control, now_ms, settings.publish_timeout_ms, strict=settings.strict_channels
        )
        self.late_reads = LateReads()
        self.offsets = PipelineOffsets(settings)
        self.visibility = Visibility(self.offsets, settings.read_wait_ms, self.late_reads.moved)
        self.clickhouse = ClickHouseReads(settings)
        self.queries = TraceQueries(self.clickhouse, stall_s=settings.stall_s, now_ms=now_ms)
        self.lag = PipelineLag(self.offsets, settings.topic_retention_hours * 3600, time.monotonic, now_ms)
        self.deletions = Deletions(settings, self.control, LogMarkers(settings) if markers is None else markers, now_ms)
        self.room = BodyRoom()
        self.counts = RequestCounts()
        self.connections = Connections(settings.gateway_max_connections, settings.gateway_max_connections_per_address)
        self.ingest = Ingest(
            self.authentication,
            self.channels,
            self.log,
            EventIds(),
            now_ms,
            settings.publish_timeout_ms,
            self.late_reads,
            self.control.data.deleted,
        )
        self.live = LiveTail(
            settings, self.authentication, self.channels.exists, self.control.data.app_of, self.control.data.deleted
        )

    def routes(self) -> list[Route]:
        """Every row of the table of routes."""
        return [
            *publishing_routes(self.ingest, BrowserPages(self.control.data, now_ms)),
            *OTLP_ROUTES,
            *self._reading(),
            *live_routes(self.live),
            *self._managing_and_deleting(),
            *self._without_key(),
        ]

    def _reading(self) -> list[Route]:
        cursors = SealedTexts(sealing_key(self.settings, "list cursors"))
        hidden = BeingDeleted(self.control.data, self.clickhouse)
        reads = TraceReads(
            self.late_reads, self.visibility, self.queries, cursors, self.settings.trace_stream_timeout_s, hidden
        )
        events = EventQueries(self.clickhouse)
        lists = EventLists(self.late_reads, self.visibility, events, cursors, self.control, now_ms, hidden)
        return reading_routes(reads, lists)

    def _managing_and_deleting(self) -> list[Route]:
        managing = Managing(self.control, now_ms)
        private = self.settings.webhook_private_addresses
        webhooks = WebhookEndpoints(managing, WebhookSecrets(self.secret), private_addresses=private)
        deleting = Deleting(managing, self.deletions, self.queries, self.visibility, self.settings.late_events)
        return [*managing_routes(Apps(managing), Channels(managing), webhooks), *deleting_routes(deleting)]

    def _without_key(self) -> list[Route]:
        health, metrics = Health(self.lag, self.clickhouse, self.control), Metrics(self._counted())
        handlers = {
            "/health/live": health.live,
            "/health/ready": health.ready,
            "/metrics": metrics.answer,
            "/openapi.json": OpenApi().answer,
        }
        return [Route("GET", path, handler, takes=None) for path, handler in handlers.items()]

    def _counted(self) -> Counted:
        return Counted(
            requests=self.counts,
            ingest=self.ingest,
            log=self.log,
            limits=self.limits,
            visibility=self.visibility,
            lag=self.lag,
            late_reads=self.late_reads,
            live=self.live,
            control=self.control,
            turns={
                "bulk": self.ingest.turns,
                "read": self.clickhouse.turns,
                "trace_stream": self.clickhouse.streams,
                "live_catch_up": self.live.catch_ups.turns,
            },
            connections=self.connections,
            room=self.room,
        )
