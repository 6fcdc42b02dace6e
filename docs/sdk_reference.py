"""docs/sdk-reference.md: every public call of the SDK, from its signature and its docstring."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from axonstream import (
    AsyncAxonPush,
    AxonPush,
    EventInput,
    EventType,
    KafkaPublisher,
    TraceContext,
    current_trace,
    get_or_create_trace,
    read_traceparent,
    trace_scope,
)
from axonstream.client import Events, Traces
from axonstream.event_contract import MAX_EVENT_BYTES, MAX_NAME_BYTES
from axonstream.results import BatchResult, Deletion, Event, FirstError, RefusedEvent, TraceListItem, TraceSummary
from axonstream.subscription import Channels, Subscription

_FOR_TESTS = {"transport", "sleep", "jitter", "clock", "new_id", "new_digits"}  # arguments that programs do not need
_UNPACK = "Unpack["


def sdk_reference(made: str) -> str:
    """The page; `made` says how it is written again."""
    return "\n".join(_lines(made)) + "\n"


def _lines(made: str) -> Iterator[str]:
    yield "# Python SDK: reference\n"
    yield "[sdk.md](sdk.md) shows the SDK in use. This page has every call and every result.\n"
    yield made
    yield from _part("## AxonPush", "AxonPush", AxonPush)
    yield "\n`AsyncAxonPush` has the same calls for asyncio, with `await`, and `aclose` in the place of `close`.\n"
    yield _text(AsyncAxonPush).partition("\n\n")[0]
    for calls, owner in (("client.events", Events), ("client.traces", Traces), ("client.channels", Channels)):
        yield from _methods(calls, owner)
    yield f"\n## Subscription\n\n{_text(Subscription)}"
    yield from _methods("events", Subscription)
    yield from _part("## KafkaPublisher", "KafkaPublisher", KafkaPublisher)
    yield from _methods("publisher", KafkaPublisher)
    yield "\n## Traces"
    for function in (get_or_create_trace, trace_scope, current_trace, read_traceparent):
        yield from _part(f"### {function.__name__}", function.__name__, function)
    yield from _part("### TraceContext", "TraceContext", TraceContext)
    yield from _methods("trace", TraceContext)
    yield "\n## What you pass"
    yield from _fields(EventInput)
    yield f"\nA name has at most {MAX_NAME_BYTES} bytes of UTF-8, an event at most {MAX_EVENT_BYTES:,} bytes."
    yield f"\n### EventType\n\n{_text(EventType)}\n\n| name | value |\n|---|---|"
    yield from (f"| `{one.name}` | `{one.value}` |" for one in EventType)
    yield "\n## What you get"
    for result in (Event, TraceSummary, TraceListItem, FirstError, BatchResult, RefusedEvent, Deletion):
        yield from _fields(result)


def _part(title: str, name: str, called: Callable[..., Any]) -> Iterator[str]:
    yield f"\n{title}\n\n```python\n{_signature(name, called)}\n```\n\n{_text(called)}"


def _methods(calls: str, owner: type) -> Iterator[str]:
    """Public methods and properties, in the order of the source."""
    for name, member in vars(owner).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            yield f"\n### {calls}.{name}\n\n{_text(member)}"
        elif inspect.isfunction(member):
            awaited = "await " if inspect.iscoroutinefunction(member) else ""
            yield from _part(f"### {calls}.{name}", f"{awaited}{calls}.{name}", member)


def _signature(name: str, called: Callable[..., Any]) -> str:
    """One argument a line where the call is long, as it would be written."""
    told = inspect.signature(called)
    arguments: list[str] = []
    for argument in told.parameters.values():
        if argument.name == "self" or argument.name in _FOR_TESTS:
            continue
        if argument.kind is argument.KEYWORD_ONLY and "*" not in arguments:
            arguments.append("*")
        if argument.kind is argument.VAR_KEYWORD:
            arguments += _unpacked(str(argument.annotation), called)
        else:
            default = "" if argument.default is argument.empty else f" = {argument.default!r}"
            arguments.append(f"{argument.name}: {argument.annotation}{default}")
    returned = "" if isinstance(called, type) or told.return_annotation == "Self" else f" -> {told.return_annotation}"
    line = f"{name}({', '.join(arguments)}){returned}"
    if len(line) <= 100:
        return line
    return "\n".join([f"{name}(", *(f"    {one}," for one in arguments), f"){returned}"])


def _unpacked(annotation: str, called: Callable[..., Any]) -> list[str]:
    """Of `**fields: Unpack[Fields]`: the arguments that `Fields` names; each may be left out."""
    named = annotation.removeprefix(_UNPACK).removesuffix("]")
    fields = getattr(sys.modules[called.__module__], named)
    return ["*", *(f"{name}: {_named(kind)} = ..." for name, kind in fields.__annotations__.items())]


def _named(kind: Any) -> str:
    return str(getattr(kind, "__forward_arg__", kind))


def _text(described: object) -> str:
    return inspect.getdoc(described) or ""


def _fields(model: type[BaseModel]) -> Iterator[str]:
    yield f"\n### {model.__name__}\n\n{_text(model)}\n\n| field | type | default |\n|---|---|---|"
    for name, field in model.model_fields.items():
        default = "" if field.is_required() else f"`{field.default!s}`"
        yield f"| `{name}` | `{_kind(field.annotation)}` | {default} |"


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind)).removeprefix("typing.")


def _kind(annotation: Any) -> str:
    """As it stands in a source, without the checks of pydantic."""
    of = get_args(annotation)
    match get_origin(annotation):
        case None:
            return "None" if annotation is NoneType else "..." if annotation is ... else _name(annotation)
        case origin if origin in {Union, UnionType}:
            return " \\| ".join(map(_kind, of))
        case origin if origin is Annotated:
            return _kind(of[0])
        case origin:
            return f"{_name(origin)}[{', '.join(map(_kind, of))}]"
