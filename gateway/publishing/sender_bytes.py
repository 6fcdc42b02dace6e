"""The sender's own bytes of payload and metadata, cut out of the body that they came in.

Parsing and encoding again would change 2**70, 1.00 or 1e3; what is stored must be what was sent. Amounts are read from
their digits: a float holds no more than 17 of them.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any, NamedTuple, cast

import orjson
from msgspec import UNSET, MsgspecError, Raw, UnsetType, defstruct
from msgspec.json import Decoder

from axonstream.contract.json_shape import JsonShapeError, collector_at_rest, read_json, too_many_values
from axonstream.event_contract import MAX_VALUES
from axonstream.event_fields import SENT, Amount
from axonstream.gateway.publishing.whole_characters import with_whole_characters

BOM = b"\xef\xbb\xbf"  # of UTF-8: some editors and shippers write it first (RFC 8259, 8.1)
_KEPT = ("payload", "metadata")
_LARGE = 10_000  # bytes: from here on an event may be thousands of objects


class BodyError(ValueError):
    """The body is not what was asked for; the message says why, to the sender."""


class SentEvent(NamedTuple):
    """One event as it came in, and the sender's bytes of its payload and metadata: b"" where it has none.

    In `fields` the two are empty where they are objects: nothing looks into them again. Amounts are Decimal or int.
    """

    fields: dict[str, Any]
    payload: bytes
    metadata: bytes


_AMOUNTS = tuple(name for field in SENT if isinstance(field.kind, Amount) for name in (field.wire, field.name))
_Members = defstruct("_Members", [(name, Raw | UnsetType, UNSET) for name in (*_KEPT, *_AMOUNTS)], gc=False)
_any_exponent = Context(traps=[])  # one beyond all bounds makes NaN, which is no amount
_members: Callable[[bytes], Any] = Decoder(_Members).decode


def read_event(raw: bytes) -> SentEvent:
    """Parse one JSON object of UTF-8. A byte order mark before it is passed over; half of a surrogate pair, of text
    that was cut inside an emoji, is taken as U+FFFD.

    Raises BodyError for malformed JSON (NaN and a number beyond a double's range are malformed, too), a repeated key,
    nesting deeper than MAX_DEPTH, more than MAX_VALUES values, and anything that is no object.
    """
    if len(raw) < _LARGE:
        return _read(raw)
    with collector_at_rest():
        return _read(raw)


def _read(raw: bytes, *, is_mended: bool = False) -> SentEvent:
    if too_many_values(raw):
        raise BodyError(f"the event has more than {MAX_VALUES} values")
    try:
        parsed = read_json(raw)
        if not isinstance(parsed, dict):
            raise BodyError("the event must be a JSON object")
        members = _members(raw)
    except orjson.JSONDecodeError as error:
        if not raw.strip():
            raise BodyError("the body is empty; it must be a JSON object") from None
        mended = raw if is_mended else with_whole_characters(raw.removeprefix(BOM))
        if mended != raw:
            return _read(mended, is_mended=True)
        raise BodyError(f"not valid JSON in UTF-8: {error}") from None
    except (JsonShapeError, MsgspecError) as error:
        raise BodyError(f"the event cannot be kept as it is: {error}") from None
    fields = cast("dict[str, Any]", parsed)
    for name in _KEPT:
        if isinstance(fields.get(name), dict):
            fields[name] = {}
    for name in _AMOUNTS:
        if type(fields.get(name)) is float:
            fields[name] = Decimal(_bytes(getattr(members, name)).decode(), _any_exponent)
    return SentEvent(fields, _bytes(members.payload), _bytes(members.metadata))


def _bytes(member: Raw | UnsetType) -> bytes:
    return b"" if member is UNSET else bytes(member)
