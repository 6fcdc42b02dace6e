"""What a record of the log becomes for live streams: a frame for each form in which somebody wants it, in the ring."""

from __future__ import annotations

from collections import defaultdict

from aiokafka import ConsumerRecord

from axonstream.contract.deleted_traces import DeletedTraces
from axonstream.contract.deletion import MARKER_KEY, read_marker
from axonstream.contract.event import Event
from axonstream.contract.record_validation import ValidationFailure, validate_record
from axonstream.gateway.live.feeds import Feeds
from axonstream.gateway.live.frames import AppOf, event_data, event_frame, gap_frame
from axonstream.gateway.live.log import ReadSoFar
from axonstream.gateway.live.position import Kind
from axonstream.gateway.live.repeats import Repeats
from axonstream.gateway.live.ring import DELETED, GAP, Feed, Form, Frame, Ring
from axonstream.gateway.sealed_texts import SealedTexts

_REMEMBERED = 65_536


class Delivery:
    """Feeds, ring and repeats of one gateway, in step with the offsets of the `ReadSoFar` that each call is given."""

    def __init__(
        self, most_bytes: int, sealed: SealedTexts, app_of: AppOf, deleted: DeletedTraces | None = None
    ) -> None:
        self.ring = Ring(most_bytes)
        self.feeds = Feeds()
        self.repeats = Repeats(_REMEMBERED)
        self.sealed = sealed
        self.app_of = app_of
        self.deleted = DeletedTraces() if deleted is None else deleted
        self.topic_id = ""  # of the log that is read

    def take(self, read: ReadSoFar, record: ConsumerRecord[bytes, bytes]) -> list[Feed]:
        """Put the record into the ring, whose offset is the last that was read. The feeds that have something new."""
        if record.key == MARKER_KEY:
            return self._delete(read, record)
        if not self.feeds.can_match(record.key):
            return []
        event = validate_record(record.key, record.value)
        if isinstance(event, ValidationFailure) or self.hides(event, record):
            return []
        event.received_at = record.timestamp
        feeds = self.feeds.matching(event)
        if not feeds:
            return []
        forms = {feed.form for feed in feeds}
        data = {each: event_data(event, each, self.app_of) for each in {form.generation for form in forms}}
        frames: dict[Form, Frame] = {}
        for form in forms:
            position = self._sealed(read, event.tenant_id, form.kind, record.partition)
            frames[form] = Frame(position, event_frame(position, data[form.generation]))
        self.ring.append(self.repeats.seen(event, self.ring.number), frames, feeds, event.trace_id)
        return feeds

    def hides(self, event: Event, record: ConsumerRecord[bytes, bytes]) -> bool:
        """Whether the event is deleted; what is read again is older than the deletion, what is late comes after it."""
        place = (self.topic_id, record.partition, record.offset)
        return bool(self.deleted) and self.deleted.hides(event.tenant_id, event.trace_id, *place)

    def _delete(self, read: ReadSoFar, record: ConsumerRecord[bytes, bytes]) -> list[Feed]:
        """What the ring has of deleted traces goes. The streams of such a trace are told, and end."""
        marker = read_marker(record.key, record.value)
        if marker is None:
            return []
        tenant_id, trace_ids = marker.tenant_id, marker.deletion.trace_ids
        self.ring.blank(tenant_id, trace_ids)
        feeds = [
            feed
            for feed in self.feeds
            if feed.wanted.tenant_id == tenant_id
            and feed.wanted.trace_id is not None
            and (not trace_ids or feed.wanted.trace_id in trace_ids)
            and read.home(feed.wanted) == record.partition
        ]
        frames: dict[Form, Frame] = {}
        for form in {feed.form for feed in feeds}:
            position = self._sealed(read, tenant_id, form.kind, record.partition)
            frames[form] = Frame(position, gap_frame("deleted", position))
        if feeds:
            self.ring.append(DELETED, frames, feeds)
        return feeds

    def tell_expired(self, read: ReadSoFar, partition: int) -> None:
        """Tell every stream of the partition that retention was faster than the reader."""
        of_tenants: defaultdict[str, list[Feed]] = defaultdict(list)
        for feed in self.feeds:
            if feed.form.kind is Kind.VECTOR or read.home(feed.wanted) == partition:
                of_tenants[feed.wanted.tenant_id].append(feed)
        for tenant_id, feeds in of_tenants.items():
            frames: dict[Form, Frame] = {}
            for form in {feed.form for feed in feeds}:
                position = self._sealed(read, tenant_id, form.kind, partition)
                frames[form] = Frame(position, gap_frame("expired", position))
            self.ring.append(GAP, frames, feeds)
            for feed in feeds:
                feed.announce()

    def position(self, read: ReadSoFar, feed: Feed) -> bytes:
        """The id from which nothing is missing for a stream that has taken all of its feed."""
        return self._sealed(read, feed.wanted.tenant_id, feed.form.kind, read.home(feed.wanted))

    def _sealed(self, read: ReadSoFar, tenant_id: str, kind: Kind, partition: int) -> bytes:
        return self.sealed.text(tenant_id, read.position(kind, partition))
