"""Following events as they are published: what to ask for, how to read it, when to connect again. No I/O.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from pydantic import ValidationError as PydanticError

from axonstream import wire_json
from axonstream.answers import Answer, error_of
from axonstream.calls import trace_path
from axonstream.errors import APIConnectionError, UnexpectedAnswerError, ValidationError
from axonstream.event_contract import EventType
from axonstream.results import Event
from axonstream.retries import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, RetryPolicy

log = logging.getLogger(__name__)

SILENCE_SECONDS = 30.0  # the server sends something every 10 s, so that a connection without anything is a dead one
PATIENCE_SECONDS = 300.0  # without a server, after which a subscription gives up


class LiveCall(NamedTuple):
    """One stream: its path and its filters."""

    path: str
    params: dict[str, str]


def channel_stream(channel_id: int | str, identifier: str | None, **filters: EventType | str | None) -> LiveCall:
    """GET /channel/{id}[/{identifier}]/subscribe."""
    if not str(channel_id).isdecimal():
        raise ValidationError("channel_id is not a whole number", hint="Pass the id that the channel was made with.")
    within = "" if identifier is None else f"/{quote(identifier, safe='').replace('.', '%2E')}"
    return LiveCall(f"/channel/{channel_id}{within}/subscribe", _params(filters) | {"positions": "true"})


def trace_stream(trace_id: str, **filters: EventType | str | None) -> LiveCall:
    """GET /traces/{id}/live."""
    return LiveCall(f"{trace_path(trace_id)}/live", _params(filters))


def tenant_stream(*, errors_only: bool, **filters: EventType | str | None) -> LiveCall:
    """GET /live."""
    return LiveCall("/live", _params(filters) | ({"errors": "true"} if errors_only else {}))


class Following:
    """The state of one subscription over all of its connections.

    `position` is that of the last event that was handed out; `missed` counts the gaps: how often events were gone
    before they could be read.
    """

    def __init__(self, call: LiveCall, policy: RetryPolicy, since: str | None) -> None:
        self.call = call
        self.position = since
        self.missed = 0
        self._policy = policy
        self._read_up_to = since
        self._events: deque[tuple[Event, str | None]] = deque()
        self._line = b""
        self._fields: dict[str, list[str]] = {}
        self._failures = 0
        self._lost_at: float | None = None
        self._was_open = False
        self.must_resume = False

    def headers(self) -> dict[str, str]:
        """Of the next connection."""
        resumed = {} if self._read_up_to is None else {"Last-Event-ID": self._read_up_to}
        return {"Accept": "text/event-stream", "Cache-Control": "no-store", **resumed}

    def opened(self, headers: Mapping[str, str]) -> None:
        """A connection has been made."""
        self._was_open, self._failures, self._lost_at, self.must_resume = True, 0, None, False
        self._line, self._fields = b"", {}
        if self._read_up_to is None:
            self._read_up_to = self.position = headers.get("X-Axonstream-Position")

    def wait_after(self, outcome: Answer | APIConnectionError | None) -> float:
        """Seconds to wait before the next connection; None is one that ended. Raises what another would not mend."""
        now = self._policy.clock()
        self._lost_at = now if self._lost_at is None else self._lost_at
        passing = not isinstance(outcome, Answer) or outcome.is_passing
        spent = self._failures >= self._policy.max_retries if not self._was_open else False
        if not passing or spent or now - self._lost_at > PATIENCE_SECONDS:
            raise _lost() if outcome is None else outcome if isinstance(outcome, Exception) else error_of(outcome)
        longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(self._failures, 30))
        self._failures += 1
        asked = outcome.retry_after if isinstance(outcome, Answer) else None
        return longest * self._policy.jitter() + (asked or 0.0)

    def next(self) -> Event | None:
        """The next event that has come."""
        if not self._events:
            return None
        event, self.position = self._events.popleft()
        return event

    def feed(self, chunk: bytes) -> None:
        """Bytes of the connection."""
        *lines, self._line = (self._line + chunk).split(b"\n")
        for line in lines:
            if self.must_resume:
                return  # what follows is read again, in its place
            self._take(line.rstrip(b"\r").decode("utf-8", "replace"))

    def _take(self, line: str) -> None:
        if line:
            name, _, value = line.partition(":")
            self._fields.setdefault(name, []).append(value.removeprefix(" "))
            return
        fields, self._fields = self._fields, {}
        self._read_up_to = fields.get("id", [self._read_up_to])[-1]
        if "data" not in fields:
            if not self._events:
                self.position = self._read_up_to
            return
        data = self._decoded("\n".join(fields["data"]))
        if fields.get("event", ["message"])[-1] == "gap":
            self._gap(data)
        else:
            self._events.append((self._event(data), self._read_up_to))

    def _gap(self, data: dict[str, Any]) -> None:
        """What this reader was too slow for is read again from Kafka; what has expired is gone."""
        if data.get("reason") == "slow":
            self.must_resume = True
            return
        self.missed += 1
        log.warning("%s: events are missing that can no longer be read (%s)", self.call.path, data.get("reason"))

    def _decoded(self, text: str) -> dict[str, Any]:
        try:
            return dict(wire_json.decode(text.encode()))
        except (ValueError, TypeError) as error:
            raise self._unexpected() from error

    def _event(self, data: dict[str, Any]) -> Event:
        try:
            return Event.model_validate(data)
        except PydanticError as error:
            raise self._unexpected() from error

    def _unexpected(self) -> UnexpectedAnswerError:
        return UnexpectedAnswerError(
            f"the events of {self.call.path} are not what axonstream sends",
            hint="Check that base_url names an axonstream gateway, and that no proxy changes what it sends.",
        )


def _lost() -> APIConnectionError:
    return APIConnectionError("the server ended the stream, and again", hint="Check that the gateway is well.")


def _params(filters: Mapping[str, EventType | str | None]) -> dict[str, str]:
    return {name: str(value) for name, value in filters.items() if value is not None}
