"""Trace agent runs end to end.

    from axonstream import AxonPush, EventType, get_or_create_trace

    with AxonPush(api_key="ak_local", tenant_id="1") as client:
        trace = get_or_create_trace()
        client.events.publish("web_search", {"query": "AI frameworks"}, channel_id=1, agent_id="researcher",
                              trace_id=trace.trace_id, span_id=trace.next_span_id(),
                              event_type=EventType.AGENT_TOOL_CALL_START)
        print(client.traces.get_summary(trace.trace_id).total_events)

The errors are one tree:

    AxonStreamError
    ├── ValidationError
    ├── AuthenticationError
    ├── ForbiddenError
    ├── NotFoundError
    ├── ConflictError
    ├── PayloadTooLargeError
    ├── RateLimitError
    ├── ServerError
    ├── UnexpectedAnswerError
    ├── APIConnectionError
    │   └── APITimeoutError
    └── ClientClosedError

`axonstream.KafkaPublisher` publishes straight to Kafka; it needs `pip install "axonstream[kafka]"`. It is imported
when it is first asked for, and is not in `__all__`, so that `from axonstream import *` works with the base install.
It raises the same errors; where Kafka does not acknowledge, an APIConnectionError.

The two clients are imported when they are first asked for, too: servers use the contract of events alone, and have no
need of an HTTP client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from axonstream.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    AxonStreamError,
    ClientClosedError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitError,
    ServerError,
    UnexpectedAnswerError,
    ValidationError,
)
from axonstream.event_contract import EventInput, EventType
from axonstream.trace_context import TraceContext, current_trace, get_or_create_trace, trace_scope
from axonstream.traceparent import Traceparent, read_traceparent
from axonstream.version import VERSION

if TYPE_CHECKING:
    from axonstream.async_client import AsyncAxonPush
    from axonstream.client import AxonPush
    from axonstream.producers.kafka_publisher import KafkaPublisher as KafkaPublisher
    from axonstream.results import BatchResult, Deletion, Event, FirstError, TraceListItem, TraceSummary

__version__ = VERSION

__all__ = [
    "APIConnectionError",
    "APITimeoutError",
    "AsyncAxonPush",
    "AuthenticationError",
    "AxonPush",
    "AxonStreamError",
    "BatchResult",
    "ClientClosedError",
    "ConflictError",
    "Deletion",
    "Event",
    "EventInput",
    "EventType",
    "FirstError",
    "ForbiddenError",
    "NotFoundError",
    "PayloadTooLargeError",
    "RateLimitError",
    "ServerError",
    "TraceContext",
    "TraceListItem",
    "TraceSummary",
    "Traceparent",
    "UnexpectedAnswerError",
    "ValidationError",
    "__version__",
    "current_trace",
    "get_or_create_trace",
    "read_traceparent",
    "trace_scope",
]


_LATER = {"AsyncAxonPush": "axonstream.async_client", "AxonPush": "axonstream.client"} | dict.fromkeys(
    ("BatchResult", "Deletion", "Event", "FirstError", "TraceListItem", "TraceSummary"), "axonstream.results"
)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        value = globals()[name] = getattr(import_module(_LATER[name]), name)
        return value
    if name != "KafkaPublisher":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from axonstream.producers.kafka_publisher import KafkaPublisher
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"aiokafka", "msgspec", "pydantic_settings"}:
            raise ImportError(f'KafkaPublisher needs {missing}: pip install "axonstream[kafka]"') from error
        raise
    return KafkaPublisher


def __dir__() -> list[str]:
    return [*__all__, "KafkaPublisher"]
