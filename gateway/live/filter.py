"""Which events a live stream is for: its tenant, its scope and its filters. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from starlette.datastructures import QueryParams

from axonstream.contract.event import Event
from axonstream.event_contract import EventType
from axonstream.event_fields import EVENT_TYPE_PATTERN
from axonstream.gateway.http.errors import RefusedError
from axonstream.gateway.live.position import Kind
from axonstream.names import MAX_NAME_BYTES, name_fault

PARAMETERS = (
    *("agentId", "eventType", "traceId", "identifier", "errors", "agent", "type", "trace"),
    *("lastEventId", "positions"),
)
_EVENT_TYPE = re.compile(EVENT_TYPE_PATTERN[:-1] + r"\Z")
_TRUE = {"true": True, "1": True, "false": False, "0": False}
_ERROR: str = EventType.AGENT_ERROR.value


class LiveFilter(NamedTuple):
    """Streams of equal filters share a feed. None lets everything through; the tenant is never left out (G6)."""

    tenant_id: str
    channel_id: int | None = None
    trace_id: str | None = None
    identifier: str | None = None
    agent_id: str | None = None
    event_type: str | None = None

    @property
    def kind(self) -> Kind:
        """The events of one trace stand on one partition."""
        return Kind.VECTOR if self.trace_id is None else Kind.TRACE

    def matches(self, event: Event) -> bool:
        """Whether the stream is for this event."""
        tenant_id, channel_id, trace_id, identifier, agent_id, event_type = self
        return (
            event.tenant_id == tenant_id
            and (channel_id is None or event.channel_id == channel_id)
            and (trace_id is None or event.trace_id == trace_id)
            and (identifier is None or event.identifier == identifier)
            and (agent_id is None or event.agent_id == agent_id)
            and (event_type is None or event.event_type == event_type)
        )


def read_filter(
    query: QueryParams,
    tenant_id: str,
    *,
    channel_id: int | None = None,
    trace_id: str | None = None,
    identifier: str | None = None,
) -> LiveFilter:
    """The filter of a request: its path's scope, and what its query names. Raises RefusedError 400.

    The names of the HTTP contract (agentId, eventType, traceId) and the short ones (agent, type, trace, identifier,
    errors) mean the same.
    """
    event_type = _value(query, ("eventType", "type"))
    if event_type is not None and not _EVENT_TYPE.match(event_type):
        hint = "Give a type as it is published, agent.tool_call.start for one; leave it out for all types."
        raise RefusedError(400, "eventType must be 1 to 64 characters of a-z, 0-9, _ and .", hint)
    if flag(query, "errors"):
        if event_type not in (None, _ERROR):
            hint = f"Leave out one of the two, or set eventType to {_ERROR}."
            raise RefusedError(400, f"errors=true and eventType={event_type} let no event through", hint)
        event_type = _ERROR
    named_trace = _name(query, ("traceId", "trace"))
    if trace_id is not None and named_trace not in (None, trace_id):
        raise RefusedError(400, "the path and the query name two traces", "Leave traceId out of the query.")
    named_identifier = _name(query, ("identifier",))
    if identifier is not None and named_identifier not in (None, identifier):
        raise RefusedError(400, "the path and the query name two identifiers", "Leave it out of the query.")
    return LiveFilter(
        tenant_id,
        channel_id,
        named_trace if trace_id is None else trace_id,
        named_identifier if identifier is None else identifier,
        _name(query, ("agentId", "agent")),
        event_type,
    )


def flag(query: QueryParams, name: str) -> bool:
    """A yes or no of the query; no when it is left out. Raises RefusedError 400."""
    text = _value(query, (name,))
    if text is None:
        return False
    if text not in _TRUE:
        raise RefusedError(400, f"{name} must be true or false, not {text[:32]!r}", f"Set {name}=true or leave it out.")
    return _TRUE[text]


def _name(query: QueryParams, names: Sequence[str]) -> str | None:
    text = _value(query, names)
    if text is not None and name_fault(text) is not None:
        hint = f"Give {names[0]} as it is published, or leave it out for all."
        raise RefusedError(400, f"{names[0]} must be 1 to {MAX_NAME_BYTES} bytes without NUL", hint)
    return text


def _value(query: QueryParams, names: Sequence[str]) -> str | None:
    given = [text for name in names for text in query.getlist(name)]
    if len(given) > 1:
        hint = "Give it once; open one stream for each value, or filter what comes."
        raise RefusedError(400, f"{names[0]} is given {len(given)} times", hint)
    return given[0] if given else None
