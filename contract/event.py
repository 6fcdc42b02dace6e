"""An event as it stands in its Kafka record: the fields, their types and most of their limits.

The order is that of `encode_event`: an event that is encoded again is its record, byte for byte, which is how the
validation knows that no field in it is repeated.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.json import Decoder, Encoder

from axonstream.event_contract import MAX_ID, MAX_NAME_BYTES, MAX_TIME_MS

_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_BYTES)]
_Optional = Annotated[str, Meta(max_length=MAX_NAME_BYTES)]
_Id = Annotated[int, Meta(ge=0, le=MAX_ID)]
_TimeMs = Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]


class Event(Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False, kw_only=True):
    """Only validation makes one, from a record that is valid in every respect.

    A name that is missing is "". `payload` and `metadata` are the very bytes that stand in the record; times are ms
    since 1970.
    """

    v: Literal[1]
    tenant_id: _Name
    event_id: _Id
    trace_id: _Name
    channel_id: _Id
    event_type: _Name
    identifier: _Name
    occurred_at: _TimeMs
    received_at: _TimeMs
    source: _Name
    span_id: _Optional = ""
    parent_event_id: _Optional = ""
    parent_span_id: _Optional = ""
    agent_id: _Optional = ""
    dedup_key: _Optional = ""
    environment: _Optional = ""
    payload: Raw
    metadata: Raw | UnsetType = UNSET


_decoder, _encoder = Decoder(Event), Encoder()
decode_event, decode_lines = _decoder.decode, _decoder.decode_lines
encode_lines, encode_again = _encoder.encode_lines, _encoder.encode
