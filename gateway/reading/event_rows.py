"""Events as rows of an answer: the arrays that the reads of traces and of lists have."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson

from axonstream.gateway.control.credentials import Identity
from axonstream.gateway.routing.answers import EventAnswer, StoredEvent, event_answer

_ROWS_OF_A_TURN = 100  # 1 ms


async def event_rows_in_turns(events: Sequence[StoredEvent], identity: Identity) -> bytes:
    """A JSON array of events of the sender's tenant; other requests have their turn while a long one is made."""
    pieces: list[bytes] = []
    for start in range(0, len(events), _ROWS_OF_A_TURN):
        if start:
            await asyncio.sleep(0)
        pieces.append(orjson.dumps(event_rows(events[start : start + _ROWS_OF_A_TURN], identity))[1:-1])
    return b"[" + b",".join(pieces) + b"]"


def event_rows(events: Sequence[StoredEvent], identity: Identity) -> list[EventAnswer]:
    """The wire form of events of the sender's tenant; give it to orjson."""
    tenant_id, generation, apps = identity.tenant_id, identity.generation, identity.channels
    return [event_answer(event, tenant_id, generation, apps.get(event.channel_id)) for event in events]
