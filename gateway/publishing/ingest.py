"""Publishing over HTTP: `POST /event` and `POST /events`. A 2xx is sent only after Kafka's acknowledgement (G1).

read body -> unpack -> parse, keep the bytes -> validate -> encode -> channel -> append to the event log -> answer
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from secrets import token_hex
from typing import NamedTuple, Protocol

import orjson

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.contract.event_ids import EventIds
from axonstream.contract.event_record import EventRecord, encode_event
from axonstream.event_contract import MAX_EVENT_BYTES, EventInput, trace_id_of
from axonstream.gateway.access.authentication import Authentication
from axonstream.gateway.access.concurrency_limits import ConcurrencyLimit
from axonstream.gateway.control.audit_entry import Actor
from axonstream.gateway.control.credentials import ApiVersion, Identity
from axonstream.gateway.control.published_channels import PublishedChannels
from axonstream.gateway.deleting.late_events import LateEvents
from axonstream.gateway.http.errors import RefusedError
from axonstream.gateway.http.header_names import Headers
from axonstream.gateway.http.request_body import MAX_BULK_BYTES
from axonstream.gateway.publishing.bulk_body import TooLargeError, split_events
from axonstream.gateway.publishing.event_validation import InvalidEventError, joined, validate_event
from axonstream.gateway.publishing.repeated_bodies import Attempt, Drawn, RepeatedBodies, Sender
from axonstream.gateway.publishing.sender_bytes import BodyError, SentEvent, read_event
from axonstream.gateway.reading.late_reads import LateReads
from axonstream.gateway.routing.answers import BulkAnswer, RefusedEventAnswer, StoredEvent, event_answer
from axonstream.gateway.routing.request import Answer, Request
from axonstream.gateway.routing.wire_values import wire_id
from axonstream.process.loop_share import LoopShare
from axonstream.producers.append_counts import AppendCounts, Backlog
from axonstream.traceparent import Traceparent, read_traceparent

MAX_BULK_EVENTS = 50_000
BULK_AT_ONCE = 4  # bodies of up to MAX_BULK_BYTES that one process works on
BULK_OF_A_TENANT = 3
_TURN_WAIT_S = 5.0

_GZIP = b"\x1f\x8b"  # RFC 1952, 2.3.1; no JSON begins so
_HINT = "Correct the named field and send the event again; nothing of it was stored."


class _Taken(NamedTuple):
    """A valid event of a bulk request."""

    place: int
    channel_id: int
    record: EventRecord
    drawn: Drawn | None


class Log(Protocol):
    """What is needed of `axonstream.producers.event_log.EventLog`."""

    counts: AppendCounts

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def append(self, records: Sequence[EventRecord]) -> int | None: ...
    def backlog(self) -> Backlog: ...


class Ingest:
    """What both publishing calls answer: status and JSON; `clock` gives ms since 1970."""

    def __init__(
        self,
        authentication: Authentication,
        channels: PublishedChannels,
        log: Log,
        ids: EventIds,
        clock: Callable[[], int],
        publish_timeout_ms: int,
        late_reads: LateReads,
        deleted: DeletedTraces,
    ) -> None:
        self._authentication = authentication
        self._channels = channels
        self._log = log
        self._ids = ids
        self._clock = clock
        self._late_reads = late_reads
        self._late = LateEvents(deleted)
        self.turns = ConcurrencyLimit(
            BULK_AT_ONCE, BULK_OF_A_TENANT, _TURN_WAIT_S, "too many bulk requests are under way"
        )
        self.repeats = RepeatedBodies(time.monotonic, publish_timeout_ms / 1000)
        self.refused_of_bulks = 0  # events, while others of their request were looked at

    async def publish(self, request: Request) -> Answer:
        """POST /event: 201 for a v0 client, 200 for a v1 client, with the event as it is stored.

        An event without a trace joins that of the header `traceparent`.
        """
        body = request.body
        raw = await body.read(MAX_EVENT_BYTES, request.identity.tenant_id)
        if body.packed:
            raw = await body.content(raw, MAX_EVENT_BYTES)
        return await self.repeats.once(_sender("/event", request), raw, partial(self._publish, request, raw))

    async def _publish(self, request: Request, raw: bytes, attempt: Attempt) -> Answer:
        identity, headers = request.identity, request.headers
        try:
            sent = read_event(raw)
            parent = _parent(headers)
            event = validate_event(joined(sent.fields, parent) if parent else sent.fields, _environment(headers))
        except InvalidEventError as error:
            raise RefusedError(400, error.messages, _HINT) from None
        except BodyError as error:
            raise RefusedError(400, str(error), "Send one JSON object in UTF-8; nothing was stored.") from None
        if (late := self._late.refusal(identity.tenant_id, event, sent.metadata)) is not None:
            raise late
        record, drawn = self._encode(event, identity, sent, attempt.first.get(0))
        if drawn is not None:
            attempt.drawn = {0: drawn}
        if event.channel_id not in identity.channels:
            await self._channels.make(identity.tenant_id, event.channel_id, request.actor)
        await self._late_reads.before_publishing(identity.tenant_id)
        if attempt.stored:
            at_ms = attempt.stored[0]
        else:
            self._late_reads.published(identity.tenant_id, 1)
            at_ms = await self._log.append((record,))
        stored = StoredEvent.of_sent(
            event,
            sent.payload,
            b"" if event.metadata is None else sent.metadata,
            record,
            received_at=record.received_at if at_ms is None else at_ms,
        )
        app_id = identity.channels.get(event.channel_id)
        answer = event_answer(stored, identity.tenant_id, identity.generation, app_id)
        status = 201 if identity.generation is ApiVersion.V0 else 200
        return Answer(status, orjson.dumps(answer))

    async def publish_many(self, request: Request) -> Answer:
        """POST /events: 200; the valid events are stored although others are refused. 400 when none is stored.

        When Kafka does not acknowledge, the answer is 503 for the whole request, of which a part may be stored.
        """
        identity, body = request.identity, request.body
        await self._late_reads.before_publishing(identity.tenant_id)
        sent = await body.read(MAX_BULK_BYTES, identity.tenant_id)  # before the turn: a slow sender holds none
        return await self.repeats.once(_sender("/events", request), sent, partial(self._publish_many, request, sent))

    async def _publish_many(self, request: Request, sent: bytes, attempt: Attempt) -> Answer:
        identity, headers = request.identity, request.headers
        environment, parent = _environment(headers), _parent(headers)
        async with self.turns.turn(identity.tenant_id):
            share = LoopShare()
            raw_events = await _split(await request.body.content(sent, MAX_BULK_BYTES), share)
            self._authentication.charge(identity, len(raw_events) - 1)
            taken: list[_Taken] = []
            rejected: list[RefusedEventAnswer] = []
            for index, raw in enumerate(raw_events):
                if share.is_over():
                    await share.give_way()
                try:
                    first = attempt.first.get(index)
                    taken.append(_Taken(index, *self._record_of(raw, identity, environment, parent, first)))
                except (BodyError, InvalidEventError) as error:
                    rejected.append({"index": index, "message": str(error)})
            taken = await self._of_known_channels(identity, request.actor, taken, rejected)
            records = [one.record for one in taken]
            attempt.drawn = {one.place: one.drawn for one in taken if one.drawn is not None}
            attempt.sent = [one.place for one in taken if one.place not in attempt.stored]
            if attempt.sent:
                self._late_reads.published(identity.tenant_id, len(attempt.sent))
                await self._log.append([one.record for one in taken if one.place not in attempt.stored])
        self.refused_of_bulks += len(rejected)
        if not records:
            raise _nothing_taken(rejected)
        ids = [wire_id(record.event_id, identity.generation) for record in records]
        answer: BulkAnswer = {"accepted": len(records), "rejected": rejected, "ids": ids}
        if identity.generation is ApiVersion.V0:
            answer["idTexts"] = [str(number) for number in ids]
        return Answer(200, orjson.dumps(answer))

    async def _of_known_channels(
        self, identity: Identity, actor: Actor, taken: list[_Taken], rejected: list[RefusedEventAnswer]
    ) -> list[_Taken]:
        """Those whose channel exists, or was made; the others are rejected."""
        unknown = {one.channel_id for one in taken} - identity.channels.keys()
        if not unknown:
            return taken
        refused = await self._channels.make_all(identity.tenant_id, unknown, actor)
        if not refused:
            return taken
        known: list[_Taken] = []
        share = LoopShare()
        for one in taken:
            if share.is_over():
                await share.give_way()
            if one.channel_id not in refused:
                known.append(one)
                continue
            message = str(self._channels.refusal(one.channel_id))
            rejected.append(RefusedEventAnswer(index=one.place, message=message))
        rejected.sort(key=itemgetter("index"))
        return known

    def _record_of(
        self, raw: bytes, identity: Identity, environment: str | None, parent: Traceparent | None, first: Drawn | None
    ) -> tuple[int, EventRecord, Drawn | None]:
        if len(raw) > MAX_EVENT_BYTES:
            raise BodyError(f"the event is larger than {MAX_EVENT_BYTES} bytes")
        sent = read_event(raw)
        event = validate_event(joined(sent.fields, parent) if parent else sent.fields, environment)
        if (late := self._late.refusal(identity.tenant_id, event, sent.metadata)) is not None:
            raise BodyError(str(late))
        return event.channel_id, *self._encode(event, identity, sent, first)

    def _encode(
        self, event: EventInput, identity: Identity, sent: SentEvent, first: Drawn | None
    ) -> tuple[EventRecord, Drawn | None]:
        """The record, and what was chosen for it; `first` is what was chosen when it was published first."""
        tenant_id, dedup_key = identity.tenant_id, event.dedup_key
        if first is None:
            now_ms = self._clock()
            trace_id = event.trace_id or (trace_id_of(tenant_id, dedup_key) if dedup_key else f"tr_{token_hex(8)}")
            first = Drawn(self._ids.next(now_ms), trace_id, now_ms)
        record = encode_event(
            event,
            tenant_id=tenant_id,
            trace_id=first.trace_id,
            fresh_id=first.event_id,
            now_ms=first.received_at,
            payload=sent.payload,
            metadata=None if event.metadata is None else sent.metadata,
        )
        return record, None if event.dedup_key else first


def _sender(call: str, request: Request) -> Sender:
    """What must be equal beside the body, for it to be the same publish."""
    identity, headers = request.identity, request.headers
    of_event = (headers.get(b"x-axonpush-environment"), headers.get(b"traceparent"), headers.get(b"content-encoding"))
    return call, identity.tenant_id, identity.credential.name, identity.generation, *of_event


def _environment(headers: Headers) -> str | None:
    return headers.get(b"x-axonpush-environment", b"").decode("latin-1") or None


def _parent(headers: Headers) -> Traceparent | None:
    header = headers.get(b"traceparent")
    return None if header is None else read_traceparent(header.decode("latin-1"))


def _nothing_taken(rejected: list[RefusedEventAnswer]) -> RefusedError:
    """A 2xx would make the sender forget the events."""
    first, many = rejected[0], len(rejected)
    what = f"none of the {many} events was taken; the first" if many > 1 else "the event was not taken"
    nothing: BulkAnswer = {"accepted": 0, "rejected": rejected, "ids": []}
    hint = "Send a JSON array of events, or one event a line (NDJSON); `rejected` says what is wrong with each."
    return RefusedError(400, f"{what}: {first['message']}", hint, nothing)


async def _split(body: bytes, share: LoopShare) -> list[bytes]:
    if body.startswith(_GZIP):
        raise RefusedError(400, "the body is gzip", "Say so: Content-Encoding: gzip. Nothing was stored.")
    raw_events: list[bytes] = []
    try:
        for raw in split_events(body, MAX_BULK_EVENTS):
            if raw is not None:
                raw_events.append(raw)
            if share.is_over():
                await share.give_way()
    except TooLargeError as error:
        raise RefusedError(413, str(error), "Send fewer and smaller events in one request.") from None
    except BodyError as error:
        hint = "Send a JSON array of events, or one event a line (NDJSON); nothing was stored."
        raise RefusedError(400, str(error), hint) from None
    if not raw_events:
        raise RefusedError(400, "the body holds no event", "Send a JSON array of events, or one event a line (NDJSON).")
    return raw_events
