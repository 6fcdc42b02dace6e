"""Publish the record of a dead letter again, so that it counts once however often it is replayed.

A record without a dedup key gets one that is derived from its place, and the event id that belongs to that key: two
replays of one letter are two publishes of one event. Everything else of the record stays as its sender wrote it.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from axonstream.contract.event import encode_again
from axonstream.contract.event_record import EventRecord
from axonstream.contract.record_validation import ValidationFailure, validate_record
from axonstream.event_contract import event_id_of
from axonstream.producers.event_log import EventLog
from axonstream.sinks.dead_letters.store import DeadLetterStore, LetterHead, OpenedLetter, Place, head_of


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one letter: `done` when its event is on its way to be stored, or is stored; `what` in words."""

    place: Place
    done: bool
    what: str


def replayed_record(letter: OpenedLetter, events_topic: str) -> EventRecord | ValidationFailure:
    """The record to publish, or why there is none. Pure; the same letter makes the same record every time."""
    place = letter.letter.place
    if place.topic != events_topic:
        return ValidationFailure(
            f"not of {events_topic}: only events are replayed, the processor writes summaries again"
        )
    event = validate_record(letter.key, letter.value)
    if isinstance(event, ValidationFailure):
        return event
    value, event_id = letter.value, event.event_id
    if not event.dedup_key:
        dedup_key = dedup_key_of(place)
        event_id = event_id_of(event.tenant_id, event.trace_id, dedup_key)
        value = encode_again(replace(event, dedup_key=dedup_key, event_id=event_id))
        again = validate_record(letter.key, value)
        if isinstance(again, ValidationFailure):
            return ValidationFailure(f"with the dedup key that a replay needs: {again.reason}")
    return EventRecord(event_id, event.trace_id, event.occurred_at, event.received_at, value)


def dedup_key_of(place: Place) -> str:
    """The dedup key of an event that came without one. The topic's name may have 249 bytes, and is one for all."""
    return f"dead-letter:{place.epoch}:{place.partition}:{place.offset}"


async def replay(
    slices: AsyncIterable[Sequence[OpenedLetter]],
    box: DeadLetterStore,
    log: EventLog | None,
    events_topic: str,
    now_ms: Callable[[], int],
    enter: Callable[[Sequence[LetterHead]], Awaitable[None]],
) -> AsyncIterator[Outcome]:
    """Replay slice after slice; nothing is published, decided or entered when `log` is None. The steps for each slice:

    1. leave out what is stored already: an upgraded sink took the record after all;
    2. judge each record again, and derive the dedup key of those that have none;
    3. `enter` in the audit log what is about to be replayed: whoever dies later has left the entry;
    4. publish, and wait for Kafka's acknowledgement of all;
    5. only then decide: whoever dies in between publishes the same event again, which counts once.

    Raises NotAcknowledgedError: then the letters of the slice are still open, and may be replayed again.
    """
    async for letters in slices:
        # 1.
        stored = await box.stored_places([x.letter.place for x in letters if x.letter.place.topic == events_topic])
        records: list[EventRecord] = []
        outcomes: list[Outcome] = []
        for letter in letters:
            place = letter.letter.place
            if place.topic == events_topic and place[1:] in stored:
                outcomes.append(Outcome(place, True, "is stored already"))
                continue
            # 2.
            record = replayed_record(letter, events_topic)
            if isinstance(record, ValidationFailure):
                outcomes.append(Outcome(place, False, record.reason))
            else:
                records.append(record)
                outcomes.append(Outcome(place, True, f"event {record.event_id} of trace {record.trace_id}"))
        done = {outcome.place for outcome in outcomes if outcome.done}
        if log is not None and done:
            # 3.
            await enter([head_of(x.letter) for x in letters if x.letter.place in done])
            # 4.
            if records:
                await log.append(records)
            # 5.
            await box.decide(sorted(done), "replayed", now_ms())
        for outcome in outcomes:
            yield outcome
