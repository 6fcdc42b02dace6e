"""Live streams over HTTP: who may open which, and from where; see stream for what then comes.

GET /channel/{id}/subscribe, /channel/{id}/{identifier}/subscribe   the contract's
GET /traces/{id}/live, /live                                        ours: a trace, all of the tenant
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.responses import Response

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.event_contract import MAX_ID
from axonstream.gateway.access.authentication import Authentication
from axonstream.gateway.access.shares import Shares
from axonstream.gateway.control.credentials import Identity, KeyScope
from axonstream.gateway.http.errors import RateLimitedError, RefusedError, UnavailableError
from axonstream.gateway.live.catch_up import CatchUps
from axonstream.gateway.live.counts import LiveCounts
from axonstream.gateway.live.filter import LiveFilter, flag, read_filter
from axonstream.gateway.live.frames import AppOf
from axonstream.gateway.live.log import ReadSoFar
from axonstream.gateway.live.position import Kind, Place, Position, PositionError, is_plain_position, read_position
from axonstream.gateway.live.reader import LiveReader
from axonstream.gateway.live.stream import HEADERS, LiveStream
from axonstream.gateway.routing.request import Request
from axonstream.gateway.sealed_texts import NotSealedHereError
from axonstream.names import name_fault
from axonstream.settings.settings import Settings

CATCH_UPS_AT_ONCE = 8
_ANEW = "Leave Last-Event-ID out to go on live from now."
_MOST_DIGITS = 19
_FULL_RETRY_S = 5

ChannelExists = Callable[[str, int], Awaitable[bool]]


class LiveTail:
    """The handlers. `channel_exists(tenant_id, channel_id)` says which channels can be subscribed to."""

    def __init__(
        self,
        settings: Settings,
        authentication: Authentication,
        channel_exists: ChannelExists,
        app_of: AppOf,
        deleted: DeletedTraces,
    ) -> None:
        self._authentication = authentication
        self._channel_exists = channel_exists
        self.most = settings.live_max_streams
        self._shares = Shares(self.most, settings.live_max_streams_of_tenant or self.most * 3 // 4)
        self.most_ring_bytes = settings.live_buffer_bytes
        self.counts = LiveCounts()
        self._streams: set[LiveStream] = set()
        self._draining = False
        self._deleted = deleted
        self.reader = LiveReader(settings, self.end_all, app_of, deleted)
        self.catch_ups = CatchUps(settings, self.reader, CATCH_UPS_AT_ONCE, self.counts)

    @property
    def open(self) -> int:
        """Streams that are open now."""
        return len(self._streams)

    async def channel(self, request: Request) -> Response | LiveStream:
        """A channel's events, of one identifier where the path names it."""
        identity = request.identity
        channel_id = await self._channel(identity, request.path_params["channel_id"])
        identifier = request.path_params.get("identifier")
        wanted = read_filter(request.query_params, identity.tenant_id, channel_id=channel_id, identifier=identifier)
        return await self._open(request, identity, wanted, positions=flag(request.query_params, "positions"))

    async def trace(self, request: Request) -> Response | LiveStream:
        """A trace's events. It need not have any yet: a stream may be opened before its agents start."""
        identity = request.identity
        trace_id: str = request.path_params["trace_id"]
        if name_fault(trace_id) is not None:
            raise RefusedError(404, "no trace can have this id", "Check the trace id.")
        if self._deleted.refuses(identity.tenant_id, trace_id):
            raise RefusedError(404, "this trace was deleted, and late events of it are refused", "Follow another one.")
        wanted = read_filter(request.query_params, identity.tenant_id, trace_id=trace_id)
        return await self._open(request, identity, wanted, positions=True)

    async def tenant(self, request: Request) -> Response | LiveStream:
        """All events of the tenant."""
        identity = request.identity
        wanted = read_filter(request.query_params, identity.tenant_id)
        return await self._open(request, identity, wanted, positions=True)

    def drain(self) -> None:
        """End all streams and refuse new ones, so that the process can end quickly: their readers resume elsewhere."""
        self._draining = True
        self.end_all("the gateway stops")

    def end_all(self, _: str) -> None:
        """End all streams, cleanly for their readers."""
        for stream in list(self._streams):
            stream.end()

    async def close(self) -> None:
        """Let go of Kafka; all streams have ended."""
        await self.reader.stop()

    async def _channel(self, identity: Identity, text: str) -> int:
        known = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) <= MAX_ID
        if not known or not await self._channel_exists(identity.tenant_id, int(text)):
            hint = "Check the channel id; a channel is made by POST /channel, or by publishing to it."
            raise RefusedError(404, "there is no such channel", hint)
        return int(text)

    async def _open(
        self, request: Request, identity: Identity, wanted: LiveFilter, *, positions: bool
    ) -> Response | LiveStream:
        self._check_room(identity.tenant_id)
        last_id = _last_event_id(request)
        await self.reader.started()
        is_old = last_id is not None and is_plain_position(last_id, self.reader.read.mark)
        since = None if last_id is None or is_old else self._since(last_id, wanted)
        if request.method == "HEAD":
            return Response(headers=HEADERS)
        self._check_room(identity.tenant_id)  # many may have waited for Kafka together
        return self._stream(request, identity, wanted, since, positions=positions, from_old_position=is_old)

    def _check_room(self, tenant_id: str) -> None:
        if self._draining:
            raise UnavailableError("this gateway is about to stop", "Connect again.")
        if self._shares.full:
            hint = "Connect again later, to another gateway, or set AXONSTREAM_LIVE_MAX_STREAMS higher."
            raise UnavailableError(f"{self.most} live streams are open here, which is the most", hint)
        if not self._shares.has_room_for(tenant_id):
            message = f"{self._shares.most_of(tenant_id)} live streams of this tenant are open here, which is its share"
            hint = "Close one, or connect to another gateway; AXONSTREAM_LIVE_MAX_STREAMS_OF_TENANT sets the share."
            raise RateLimitedError(message, hint, _FULL_RETRY_S)

    def _stream(
        self,
        request: Request,
        identity: Identity,
        wanted: LiveFilter,
        since: Position | None,
        *,
        positions: bool,
        from_old_position: bool,
    ) -> LiveStream:
        cursor = self.reader.open(wanted, identity.generation, resumes=since is not None)
        stream = LiveStream(
            self.reader,
            cursor,
            None if since is None else self.catch_ups.begin(cursor, since, positions=positions),
            lambda: self._authentication.check_again(request.headers, KeyScope.READ),
            partial(self._closed, identity.tenant_id),
            self.counts,
            positions=positions,
            from_old_position=from_old_position,
        )
        self._streams.add(stream)
        self._shares.take(identity.tenant_id)
        return stream

    def _closed(self, tenant_id: str, stream: LiveStream) -> None:
        self._streams.discard(stream)
        self._shares.give_back(tenant_id)

    def _since(self, last_id: str, wanted: LiveFilter) -> Position:
        """The places to resume from. Raises RefusedError 400 for what is no position in this log.

        Whether the log still has what it names is looked at while the stream catches up: its headers need not wait.
        """
        read = self.reader.read
        try:
            named = read_position(self.reader.delivery.sealed.content(wanted.tenant_id, last_id), read.mark)
        except NotSealedHereError:
            message = "Last-Event-ID is not an event id that this server gave to this tenant"
            raise RefusedError(400, message, _ANEW) from None
        except PositionError as error:
            raise RefusedError(400, f"Last-Event-ID cannot be resumed from: {error}", _ANEW) from None
        since = _resumed(read, wanted, named)
        if unknown := [partition for partition in since.places if partition >= len(read.offsets)]:
            message = f"Last-Event-ID is of partition {unknown[0]}, which the topic never had"
            raise RefusedError(400, message, _ANEW)
        return since


def _resumed(read: ReadSoFar, wanted: LiveFilter, named: Position) -> Position:
    """Where each partition that can hold what is wanted goes on; one that was added since goes on at its start."""
    partitions = read.places(wanted)
    places = {p: named.places.get(p, Place(0)) for p in partitions}
    if wanted.kind is Kind.TRACE:
        return named._replace(places=places | (named.places if named.kind is Kind.TRACE else {}))
    if named.kind is Kind.TRACE:
        message = "Last-Event-ID is of a trace's stream, which says nothing of other traces"
        raise RefusedError(400, message, "Send it to the stream it came from. " + _ANEW)
    return named._replace(places=places | named.places)


def _last_event_id(request: Request) -> str | None:
    header, query = request.headers.get(b"last-event-id", b""), request.query_params.get("lastEventId")
    return header.decode("latin-1") or query or None
