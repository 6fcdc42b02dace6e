"""What a server in memory has collected, and what a test may say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from axonstream.results import Event


class Collected(list[Event]):
    """Events in the order of their arrival; one that was published twice with a dedup key is there once.

    Fields are named as `Event` names them: `agent_id`, `event_type`, `payload` and so on. An object that is given for
    `payload` or `metadata` matches where its members are in that of the event, which may have more.
    """

    def of_trace(self, trace_id: str) -> Collected:
        """The events of one trace."""
        return Collected(event for event in self if event.trace_id == trace_id)

    def having(self, **fields: Any) -> Collected:
        """The events whose fields have these values."""
        if unknown := fields.keys() - Event.model_fields.keys():
            raise TypeError(f"an event has no field {', '.join(sorted(unknown))}")
        return Collected(
            event for event in self if all(_matches(getattr(event, name), value) for name, value in fields.items())
        )

    def assert_one(self, **fields: Any) -> Event:
        """The only event that has these values. AssertionError where there is none, or more than one."""
        found = self.having(**fields)
        if len(found) != 1:
            raise AssertionError(f"{len(found)} events have {_shown(fields)}, not 1. {self.told()}")
        return found[0]

    def assert_none(self, **fields: Any) -> None:
        """AssertionError where an event has these values."""
        if found := self.having(**fields):
            raise AssertionError(f"{len(found)} events have {_shown(fields)}, not 0. {self.told()}")

    def assert_identifiers(self, *identifiers: str) -> None:
        """AssertionError unless the events have these identifiers, in this order."""
        found = tuple(event.identifier for event in self)
        if found != identifiers:
            raise AssertionError(f"the events are {found}, not {identifiers}. {self.told()}")

    def told(self) -> str:
        """The events for a person, one a line."""
        lines = [
            f"  {event.trace_id}  {event.agent_id or '-'}  {event.identifier}  {event.event_type}  {event.payload}"
            for event in self
        ]
        return "Collected:\n" + "\n".join(lines) if lines else "Nothing was collected."


def _matches(found: object, wanted: object) -> bool:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        members = cast("Mapping[str, object]", found)
        return all(
            name in members and members[name] == value for name, value in cast("Mapping[str, object]", wanted).items()
        )
    return found == wanted


def _shown(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in fields.items()) or "any values"
