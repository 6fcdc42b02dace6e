"""An event as each of the three publishers sends it: checked, complete, its payload and metadata encoded. No I/O.

AxonPush, AsyncAxonPush and KafkaPublisher have one contract because all of it stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError as PydanticError

from axonstream import wire_json
from axonstream.errors import AxonStreamError, PayloadTooLargeError, ValidationError
from axonstream.event_contract import MAX_EVENT_BYTES, EventInput, valid_event
from axonstream.event_fields import EventFields
from axonstream.json_values import whole_text
from axonstream.random_ids import random_hex
from axonstream.results import RefusedEvent
from axonstream.trace_context import current_trace, trace_id_here

Given = EventInput | Mapping[str, Any]

_OBJECTS = ("payload", "metadata")
_NAMED_REFUSALS = 5  # in the message of a batch of which nothing is left
_TEXTS = [name for name in EventInput.model_fields if name not in _OBJECTS]
_WIRE_NAMES = {name: info.alias or name for name, info in EventInput.model_fields.items()}


class OutgoingEvent(NamedTuple):
    """`event` has its trace (or a dedup key that names it), dedup key and environment.

    `payload` and `metadata` are what is sent of the two.
    """

    event: EventInput
    payload: bytes
    metadata: bytes | None


class OutgoingBatch(NamedTuple):
    """The events that can be sent, the place of each in the batch, and what was refused; by place, from 0."""

    events: Sequence[OutgoingEvent]
    places: Sequence[int]
    refused: Sequence[RefusedEvent]


def given_event(
    identifier: str, payload: Mapping[str, Any], channel_id: int | str, fields: EventFields
) -> Mapping[str, Any]:
    """What was handed to `publish`, without what is None. Raises TypeError for a name that no event has."""
    named: dict[str, Any] = {"identifier": identifier, "payload": payload, "channel_id": channel_id, **fields}
    for name in named:
        if name not in EventInput.model_fields:
            raise TypeError(f"publish() got an unexpected keyword argument {name!r}")
    return {name: value for name, value in named.items() if value is not None}


def outgoing_event(given: Given, environment: str | None) -> OutgoingEvent:
    """Raises ValidationError, which names the field, or PayloadTooLargeError."""
    if isinstance(given, EventInput):
        event, payload, metadata = _completed(given, environment), given.payload, given.metadata
    elif isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  whatever a program hands over
        event, payload, metadata = _validated(given, environment)
    else:
        raise ValidationError(f"not an event but {type(given).__name__}", hint="Pass a mapping, or an EventInput.")
    sent = OutgoingEvent(event, wire_json.encode(payload), None if metadata is None else wire_json.encode(metadata))
    if len(sent.payload) + len(sent.metadata or b"") > MAX_EVENT_BYTES:
        raise too_large()
    return sent


def outgoing_batch(given: Iterable[Given], environment: str | None) -> OutgoingBatch:
    """One event that is wrong is refused by its place, and takes none of the others with it."""
    events: list[OutgoingEvent] = []
    places: list[int] = []
    refused: list[RefusedEvent] = []
    for place, one in enumerate(given):
        try:
            events.append(outgoing_event(one, environment))
            places.append(place)
        except AxonStreamError as error:
            refused.append(RefusedEvent(index=place, message=error.message))
    if refused and not events:
        raise nothing_left(refused)
    return OutgoingBatch(events, places, refused)


def too_large() -> PayloadTooLargeError:
    """The error of an event that is over the limit of bytes."""
    return PayloadTooLargeError(
        f"the event is larger than {MAX_EVENT_BYTES} bytes", hint="Shorten it, or split it; nothing of it was sent."
    )


def nothing_left(refused: Sequence[RefusedEvent]) -> ValidationError:
    """The error of a batch of which every event was refused: a result would look like a success."""
    named = "; ".join(f"events[{one.index}]: {one.message}" for one in refused[:_NAMED_REFUSALS])
    more = f"; and {len(refused) - _NAMED_REFUSALS} more" if len(refused) > _NAMED_REFUSALS else ""
    return ValidationError(f"{named}{more}", hint="Correct what the message names; nothing was stored.")


def wrong_fields(error: PydanticError) -> list[str]:
    """The name of every wrong field, and what is wrong with it."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return [f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}" for one in problems]


def _validated(given: Mapping[str, Any], environment: str | None) -> tuple[EventInput, Any, Any]:
    """The event, of which payload and metadata are {} where they are objects: they are written as they were given."""
    fields = {name: whole_text(value) if isinstance(value, str) else value for name, value in given.items()}
    objects = {name: fields[name] for name in _OBJECTS if isinstance(fields.get(name), Mapping)}
    fields.update((name, {}) for name in objects)

    def said(name: str) -> object:
        value = fields.get(_WIRE_NAMES[name])
        return fields.get(name) if value is None else value

    for name, value in _left_out(said, environment).items():
        fields.pop(name, None)
        fields[_WIRE_NAMES[name]] = value
    try:
        event = valid_event(fields)
    except PydanticError as error:
        raise ValidationError(
            "; ".join(wrong_fields(error)), hint="Correct the fields that the message names; nothing was sent."
        ) from None
    return event, objects["payload"], objects.get("metadata")


def _completed(event: EventInput, environment: str | None) -> EventInput:
    changed = _left_out(lambda name: getattr(event, name), environment)
    for name in _TEXTS:
        value: object = getattr(event, name)
        if isinstance(value, str) and not value.isascii() and (text := whole_text(value)) != value:
            changed[name] = text
    return event.model_copy(update=changed) if changed else event


def _left_out(said: Callable[[str], object], environment: str | None) -> dict[str, object]:
    """What the event does not say itself: a trace, a dedup key, the publisher's environment.

    Outside of every trace, a dedup key of the caller's names the trace, too (`trace_id_of`): the gateway or the Kafka
    publisher puts it in, which know the tenant. An empty trace id is not left out: it is a mistake, which the check
    names.
    """
    filled: dict[str, object] = {}
    if said("trace_id") is None and (current_trace() is not None or not said("dedup_key")):
        filled["trace_id"] = trace_id_here()
    if not said("dedup_key"):
        filled["dedup_key"] = random_hex(32)
    if environment and not said("environment"):
        filled["environment"] = environment
    return filled
