"""The gateway as a Starlette application: its parts, its routes, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Route

from axonstream.contract.event_ids import EventIds
from axonstream.gateway.access.authentication import Authentication
from axonstream.gateway.access.rate_limits import RateLimits
from axonstream.gateway.control.audit_trail import AuditLimits
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.key_use import KeyUses
from axonstream.gateway.control.log import Control, ControlLog
from axonstream.gateway.control.published_channels import PublishedChannels
from axonstream.gateway.control.webhook_secrets import WebhookSecrets
from axonstream.gateway.deleting.being_deleted import BeingDeleted
from axonstream.gateway.deleting.deletions import Deletions
from axonstream.gateway.deleting.markers import LogMarkers, Markers
from axonstream.gateway.deleting.routes import DELETE_TRACE, DELETE_TRACES, Deleting, by_method
from axonstream.gateway.health import Health
from axonstream.gateway.http.connections import Connections
from axonstream.gateway.http.errors import HANDLERS, UnavailableError
from axonstream.gateway.http.fast_path import DirectCall, DirectlyCalled
from axonstream.gateway.http.known_parameters import takes
from axonstream.gateway.http.openapi import OpenApi
from axonstream.gateway.http.request_counts import RequestCounts
from axonstream.gateway.http.request_head import RequestHead, allowed_hosts
from axonstream.gateway.live.filter import PARAMETERS as LIVE
from axonstream.gateway.live.tail import LiveTail
from axonstream.gateway.managing.apps import Apps
from axonstream.gateway.managing.channels import Channels
from axonstream.gateway.managing.routes import Managing
from axonstream.gateway.managing.webhook_endpoints import WebhookEndpoints
from axonstream.gateway.metrics import Metrics, Parts
from axonstream.gateway.otlp import Otlp
from axonstream.gateway.publishing.body_room import BodyRoom
from axonstream.gateway.publishing.browser_pages import BrowserPages
from axonstream.gateway.publishing.ingest import Ingest, Log
from axonstream.gateway.reading.client_leaves import ends_with_its_client
from axonstream.gateway.reading.event_lists import CHANNEL_LIST, NOT_SEARCHED, SEARCH, EventLists
from axonstream.gateway.reading.event_queries import EventQueries
from axonstream.gateway.reading.late_reads import LateReads
from axonstream.gateway.reading.pipeline_lag import PipelineLag
from axonstream.gateway.reading.pipeline_offsets import PipelineOffsets
from axonstream.gateway.reading.trace_id_path import register as register_trace_id_path
from axonstream.gateway.reading.trace_queries import TraceQueries
from axonstream.gateway.reading.trace_reads import TRACE_LIST, TraceReads
from axonstream.gateway.reading.visibility import Visibility
from axonstream.gateway.sealed_texts import SealedTexts, sealing_key
from axonstream.kafka.errors import NotAcknowledgedError
from axonstream.producers.event_log import EventLog
from axonstream.settings.settings import Settings

log = logging.getLogger(__name__)

_RECONNECT_S = 0.5


def create_app(
    settings: Settings, event_log: Log | None = None, control: Control | None = None, markers: Markers | None = None
) -> Starlette:
    """The application.

    `app.state.connected` is set once Kafka has answered and the control data is read; until then publishing answers
    503, and so does everything that asks for a key which is not one of the settings.
    """
    secret = settings.server_secret.get_secret_value().encode()
    if control is None:
        control = ControlLog(settings, ControlData(secret))
    limits = RateLimits(
        settings.rate_limit_key_per_s, settings.rate_limit_tenant_per_s, settings.rate_limit_burst_s, time.monotonic
    )
    authentication = Authentication(settings.tenants_by_key(), control.data, secret, _now_ms, limits)
    log_of_events = EventLog.from_settings(settings) if event_log is None else event_log
    offsets = PipelineOffsets(settings)
    queries = TraceQueries(settings)
    late_reads = LateReads()
    visibility = Visibility(offsets, settings.read_wait_ms, late_reads.moved)
    connected = asyncio.Event()

    channels = PublishedChannels(control, _now_ms, settings.publish_timeout_ms, strict=settings.strict_channels)
    ingest = Ingest(
        authentication,
        channels,
        log_of_events,
        EventIds(),
        _now_ms,
        settings.publish_timeout_ms,
        late_reads,
        control.data.deleted,
    )
    cursors = SealedTexts(sealing_key(settings, "list cursors"))
    being_deleted = BeingDeleted(control.data, queries.reads)
    reads = TraceReads(
        authentication, late_reads, visibility, queries, cursors, settings.trace_stream_timeout_s, being_deleted
    )
    event_queries = EventQueries(queries.reads)
    lists = EventLists(authentication, late_reads, visibility, event_queries, cursors, control, _now_ms, being_deleted)
    lag = PipelineLag(offsets, settings.topic_retention_hours * 3600, time.monotonic, _now_ms)
    health = Health(lag, queries.reads, control)
    room = BodyRoom()
    managing = Managing(authentication, control, room, _now_ms)
    deletions = Deletions(settings, control, LogMarkers(settings) if markers is None else markers, _now_ms)
    deleting = Deleting(managing, deletions, queries, visibility, settings.late_events)
    apps, app_channels = Apps(managing), Channels(managing)
    webhooks = WebhookEndpoints(managing, WebhookSecrets(secret), private_addresses=settings.webhook_private_addresses)
    live = LiveTail(settings, authentication, channels.exists, control.data.app_of, control.data.deleted)

    connections = Connections(settings.gateway_max_connections, settings.gateway_max_connections_per_address)
    requests = RequestCounts()
    head = RequestHead(allowed_hosts(settings.gateway_host, settings.gateway_hosts))
    direct = {
        "/event": DirectCall(ingest.publish, head, room, authentication.page_of),
        "/events": DirectCall(ingest.publish_many, head, room, authentication.page_of),
    }
    pages = BrowserPages(control.data, _now_ms)
    metrics = Metrics(
        Parts(
            requests=requests,
            direct=direct,
            ingest=ingest,
            log=log_of_events,
            limits=limits,
            visibility=visibility,
            lag=lag,
            late_reads=late_reads,
            live=live,
            control=control,
            turns={
                "bulk": ingest.turns,
                "read": queries.reads.turns,
                "trace_stream": queries.reads.streams,
                "live_catch_up": live.catch_ups.turns,
            },
            connections=connections,
            room=room,
        )
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        background = [
            asyncio.create_task(_connect(log_of_events, control, deletions, connected)),
            asyncio.create_task(lag.run()),
            asyncio.create_task(KeyUses(control, _now_ms).run()),
            asyncio.create_task(deletions.run()),
            asyncio.create_task(AuditLimits(control.data.audit, control, lambda: control.data.loaded).run()),
        ]
        try:
            yield
        finally:
            for task in background:
                task.cancel()
            await asyncio.wait(background)
            await live.close()
            await asyncio.gather(log_of_events.stop(), control.stop())
            await visibility.close()
            await offsets.close()
            await queries.reads.close()

    register_trace_id_path()
    searched = takes(lists.search, *SEARCH, ignored=NOT_SEARCHED)
    app = DirectlyCalled(
        direct,
        requests,
        head,
        routes=[
            Route("/event", direct["/event"], methods=["POST"]),
            # a POST to /events is answered before it comes to the routes
            Route("/events", ends_with_its_client(searched), methods=["GET", "POST"]),
            *(Route(path, pages.preflight, methods=["OPTIONS"]) for path in direct),
            Route(
                "/traces",
                by_method(
                    ends_with_its_client(takes(reads.traces, *TRACE_LIST)), takes(deleting.traces, *DELETE_TRACES)
                ),
                methods=["GET", "DELETE"],
            ),
            Route("/traces/{trace_id:trace_id}/summary", ends_with_its_client(takes(reads.summary, "events"))),
            Route("/traces/{trace_id:trace_id}/events", ends_with_its_client(takes(reads.events))),
            Route("/traces/{trace_id:trace_id}/live", takes(live.trace, *LIVE)),
            Route(
                "/traces/{trace_id:trace_id}",
                by_method(ends_with_its_client(takes(reads.trace)), takes(deleting.trace, *DELETE_TRACE)),
                methods=["GET", "DELETE"],
            ),
            Route("/event/{channel_id}/list", ends_with_its_client(takes(lists.of_channel, *CHANNEL_LIST))),
            Route("/live", takes(live.tenant, *LIVE)),
            Route("/channel/{channel_id}/subscribe", takes(live.channel, *LIVE)),
            Route("/channel/{channel_id}/{identifier:trace_id}/subscribe", takes(live.channel, *LIVE)),
            Route("/apps", takes(apps.every), methods=["GET", "POST"]),
            Route("/apps/{app_id}", takes(apps.one), methods=["GET", "PATCH", "DELETE"]),
            Route("/apps/{app_id}/channels", takes(app_channels.of_app), methods=["GET", "POST"]),
            Route("/apps/{app_id}/channels/{channel_id}", takes(app_channels.one), methods=["GET", "PUT", "DELETE"]),
            Route("/channel", takes(app_channels.create), methods=["POST"]),
            Route("/channel/{channel_id}", takes(app_channels.one), methods=["GET", "PUT", "DELETE"]),
            Route("/webhooks/endpoints", takes(webhooks.create), methods=["POST"]),
            Route("/webhooks/endpoints/channel/{channel_id}", takes(webhooks.of_channel)),
            Route("/webhooks/endpoints/{endpoint_id}", takes(webhooks.deactivate), methods=["DELETE"]),
            Route("/webhooks/deliveries/{endpoint_id}", takes(webhooks.deliveries)),
            Route("/v1/traces", takes(Otlp(authentication).traces), methods=["POST"]),
            Route("/health/live", health.live),
            Route("/health/ready", health.ready),
            Route("/metrics", metrics.answer),
            Route("/openapi.json", OpenApi().answer),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.connected = connected
    app.state.connections = connections
    app.state.drain = live.drain
    return app


async def _connect(event_log: Log, control: Control, deletions: Deletions, connected: asyncio.Event) -> None:
    await asyncio.gather(_started(event_log), control.start())
    try:
        await deletions.repeat_lost()  # before events come that it would take in
    except UnavailableError as error:
        log.warning("deletions are looked at later: %s", error)
    connected.set()


async def _started(event_log: Log) -> None:
    while True:
        try:
            return await event_log.start()
        except NotAcknowledgedError as error:
            log.warning("waiting for Kafka: %s", error)
            await asyncio.sleep(_RECONNECT_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
