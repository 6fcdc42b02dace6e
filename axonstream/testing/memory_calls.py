"""The calls of a server in memory: what each answers of a store."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import httpx
from pydantic import ValidationError as PydanticError

from axonstream import wire_json
from axonstream.event_contract import MAX_EVENT_BYTES
from axonstream.outgoing_event import wrong_fields
from axonstream.testing.asked import Asked, RefusedError
from axonstream.testing.memory_store import MemoryStore, Row, Stored, figures_of
from axonstream.testing.pages import Place, page, positive, time_of
from axonstream.testing.received import event_of, parsed, split

_EVENTS_IN_SUMMARY = 100
_FILTERS = ("agentId", "eventType", "traceId", "environment", "source")


class MemoryCalls:
    """The handlers. Each raises RefusedError for what a gateway refuses."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    # Publishing

    def publish(self, asked: Asked) -> httpx.Response:
        """POST /event."""
        if len(asked.request.content) > MAX_EVENT_BYTES:
            raise RefusedError(413, f"the body is larger than {MAX_EVENT_BYTES} bytes", "Send less in one event.")
        try:
            event = event_of(parsed(asked.request.content), asked.request)
        except PydanticError as error:
            hint = "Correct the named field and send the event again; nothing of it was stored."
            raise RefusedError(400, wrong_fields(error), hint) from None
        except ValueError as error:
            raise RefusedError(400, str(error), "Send one JSON object in UTF-8; nothing was stored.") from None
        return json_answer(self._store.add(asked.tenant_id, event), status=201)

    def publish_many(self, asked: Asked) -> httpx.Response:
        """POST /events: a JSON array, or one event a line."""
        accepted: list[Row] = []
        rejected: list[Row] = []
        for index, raw in enumerate(split(asked.request.content)):
            try:
                event = event_of(parsed(raw) if isinstance(raw, bytes) else raw, asked.request)
            except PydanticError as error:
                rejected.append({"index": index, "message": "; ".join(wrong_fields(error))})
            except ValueError as error:
                rejected.append({"index": index, "message": str(error)})
            else:
                accepted.append(self._store.add(asked.tenant_id, event))
        ids = [row["eventId"] for row in accepted]
        told: Row = {"accepted": len(accepted), "rejected": rejected, "ids": ids}
        if not accepted:
            many = len(rejected)
            what = f"none of the {many} events was taken; the first" if many > 1 else "the event was not taken"
            hint = "Send a JSON array of events, or one event a line (NDJSON); `rejected` says what is wrong with each."
            raise RefusedError(400, f"{what}: {rejected[0]['message']}", hint, **told)
        return json_answer(told | {"idTexts": [str(number) for number in ids]})

    # Reading

    def traces(self, asked: Asked) -> httpx.Response:
        """GET /traces."""
        since, until = time_of(asked, "since"), time_of(asked, "until")
        found: list[tuple[Place, Row]] = []
        for at, trace_id in self._store.traces(asked.tenant_id):
            trace = self._store.of_trace(asked.tenant_id, trace_id)
            if trace[-1].occurred_at >= (since or 0) and (until is None or trace[0].occurred_at < until):
                found.append(((at, trace_id), figures_of(trace)))
        return json_answer(*page(asked, "traces", found, 20))

    def trace(self, asked: Asked) -> httpx.Response:
        """GET /traces/{id}."""
        trace = self._trace(asked)
        return json_answer(figures_of(trace) | {"spans": [one.row for one in trace]})

    def summary(self, asked: Asked) -> httpx.Response:
        """GET /traces/{id}/summary."""
        most = _EVENTS_IN_SUMMARY if positive(asked, "events", 1, least=0) else 0
        trace = self._trace(asked)
        return json_answer(figures_of(trace) | {"events": [one.row for one in trace[:most]]})

    def events_of_trace(self, asked: Asked) -> httpx.Response:
        """GET /traces/{id}/events."""
        return json_answer([one.row for one in self._trace(asked)])

    def _trace(self, asked: Asked) -> list[Stored]:
        trace = self._store.of_trace(asked.tenant_id, asked.path[0])
        if not trace:
            hint = "Check the trace id, and that the key is of the trace's tenant."
            raise RefusedError(404, "there is no such trace", hint)
        return trace

    def search(self, asked: Asked) -> httpx.Response:
        """GET /events."""
        since, until = time_of(asked, "since"), time_of(asked, "until")
        found = [
            one
            for one in self._filtered(asked)
            if one.occurred_at >= (since or 0)
            and (until is None or one.occurred_at < until)
            and asked.query.get("channelId", str(one.row["channelId"])) == str(one.row["channelId"])
            and asked.query.get("appId", str(one.row["appId"])) == str(one.row["appId"])
        ]
        rows, headers = page(asked, "events", _placed(found), 100)
        return json_answer({"events": rows}, headers)

    def of_channel(self, asked: Asked) -> httpx.Response:
        """GET /event/{channel}/list."""
        channel = int(asked.path[0]) if asked.path[0].isascii() and asked.path[0].isdecimal() else -1
        found = [one for one in self._filtered(asked) if one.row["channelId"] == channel]
        if not found and not self._store.has_channel(asked.tenant_id, channel):
            raise RefusedError(404, "there is no such channel", "Check the id; the key must be of its tenant.")
        return json_answer(*page(asked, "events", _placed(found), 10))

    def _filtered(self, asked: Asked) -> list[Stored]:
        """The newest first."""
        wanted = {name: asked.query[name] for name in _FILTERS if name in asked.query}
        arrived = reversed(self._store.arrived(asked.tenant_id))
        return [one for one in arrived if all(one.row[name] == value for name, value in wanted.items())]

    def not_answered(self, asked: Asked) -> httpx.Response:
        """What a gateway answers, and this server does not."""
        raise RefusedError(
            501,
            f"a server in memory does not answer {asked.request.method} {asked.request.url.path}",
            "Test this call against `axonstream up`.",
        )


class Call(NamedTuple):
    """A call that is answered; `path` has a `{}` for each part that names something."""

    method: str
    path: str
    answer: Callable[[MemoryCalls, Asked], httpx.Response]
    takes: Sequence[str] = ()

    def match(self, path: str) -> re.Match[str] | None:
        """The parts of `path` that name something, where it is one of this call."""
        return re.fullmatch(re.escape(self.path).replace(r"\{\}", "([^/]+)"), path)


_PAGED = ("page", "offset", "limit", "cursor")
_LIVE = (*_FILTERS, "identifier", "errors", "positions", "lastEventId")
CALLS = (
    Call("POST", "/event", MemoryCalls.publish),
    Call("POST", "/events", MemoryCalls.publish_many),
    Call("GET", "/events", MemoryCalls.search, (*_FILTERS, "channelId", "appId", "since", "until", "limit", "cursor")),
    Call("GET", "/event/{}/list", MemoryCalls.of_channel, (*_FILTERS, *_PAGED)),
    Call("GET", "/traces", MemoryCalls.traces, (*_PAGED, "since", "until")),
    Call("GET", "/traces/{}", MemoryCalls.trace),
    Call("GET", "/traces/{}/summary", MemoryCalls.summary, ("events",)),
    Call("GET", "/traces/{}/events", MemoryCalls.events_of_trace),
    Call("DELETE", "/traces", MemoryCalls.not_answered, ("sessionId", "userId", "tenant", "late")),
    Call("DELETE", "/traces/{}", MemoryCalls.not_answered, ("late",)),
    Call("GET", "/traces/{}/live", MemoryCalls.not_answered, _LIVE),
    Call("GET", "/live", MemoryCalls.not_answered, _LIVE),
    Call("GET", "/channel/{}/subscribe", MemoryCalls.not_answered, _LIVE),
    Call("GET", "/channel/{}/{}/subscribe", MemoryCalls.not_answered, _LIVE),
)


def json_answer(value: Any, headers: Mapping[str, str] | None = None, status: int = 200) -> httpx.Response:
    """The answer of a call."""
    content = wire_json.encode(value)
    return httpx.Response(status, headers={"Content-Type": "application/json", **(headers or {})}, content=content)


def _placed(found: list[Stored]) -> list[tuple[Place, Row]]:
    return [((one.arrival, ""), one.row) for one in found]
