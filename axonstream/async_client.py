"""The client for asyncio. `client` is generated from it; what both share is in calls, answers and retries."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, Unpack

import httpx

from axonstream.answers import Answer, answer_of, connection_error, result_of
from axonstream.async_subscription import AsyncChannels, AsyncFollow, AsyncSubscription
from axonstream.calls import (
    Call,
    delete_trace_call,
    delete_traces_call,
    headers_of,
    list_traces_call,
    publish_call,
    publish_many_call,
    summary_call,
    trace_events_call,
)
from axonstream.connection_owner import AsyncOwner
from axonstream.errors import APIConnectionError, AxonStreamError, ClientClosedError
from axonstream.event_contract import EventInput, EventType
from axonstream.event_fields import EventFields
from axonstream.http_environment import Connecting, connecting
from axonstream.live import tenant_stream, trace_stream
from axonstream.outgoing_event import outgoing_batch
from axonstream.results import BatchResult, Deletion, Event, Rows, TraceListItem, TraceSummary
from axonstream.retries import Retries, RetryPolicy
from axonstream.server_address import LOCAL_URL, checked_url

Result = TypeVar("Result")


class AsyncAsk(Protocol):
    """Sends a call until its answer is final, and reads the answer."""

    async def __call__(self, call: Call[Result]) -> Result: ...


class AsyncAxonPush:
    """Publishes events and asks about traces. Safe to share between the tasks of one event loop at a time.

    `timeout` is in seconds and bounds every step of one attempt (connect, write, each read); with `max_retries` more
    attempts after 408, 425, 429, 5xx or a lost connection, none of which starts later than 60 s after the first.
    `environment` goes with every event that has none of its own. `transport`, `sleep`, `jitter` and `clock` are for
    tests. Proxies and certificates are those of the environment (`axonstream.http_environment`); a server on this
    machine is asked directly. Raises the errors of `axonstream.errors`, nothing of httpx.
    """

    def __init__(
        self,
        api_key: str,
        tenant_id: str | int,
        *,
        base_url: str = LOCAL_URL,
        timeout: float = 30.0,
        max_retries: int = 3,
        environment: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._headers = headers_of(api_key, tenant_id)
        self._base_url = checked_url(base_url)
        self._timeout = timeout
        self._policy = RetryPolicy(max_retries, jitter, clock)
        self._transport = transport
        self._sleep = sleep
        self._closed = False
        self._owner = AsyncOwner()
        self._how = Connecting(None, None, verify=True) if transport else connecting(self._base_url)
        self._http = self._connect()
        follow = AsyncFollow(self._own_http, self._connection_error, self._policy, sleep)
        self.events = AsyncEvents(self._ask, environment, follow)
        self.traces = AsyncTraces(self._ask, follow)
        self.channels = AsyncChannels(follow)

    async def aclose(self) -> None:
        """Closes the connections; may be called again. The client cannot be used after it."""
        self._closed = True
        if self._owner.is_here():
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _ask(self, call: Call[Result]) -> Result:
        retries = Retries(self._policy)
        while True:
            outcome = await self._attempt(call)
            wait = retries.wait_after(outcome)
            if wait is None:
                break
            await self._sleep(wait)
        try:
            if isinstance(outcome, APIConnectionError):
                raise outcome
            return result_of(outcome, call.read, f"{call.method} {call.path}")
        except AxonStreamError as error:
            error.attempts = retries.attempts
            raise

    async def _attempt(self, call: Call[Any]) -> Answer | APIConnectionError:
        http = self._own_http()
        try:
            return answer_of(await http.request(call.method, call.path, params=call.params, content=call.body))
        except httpx.RequestError as error:
            return self._connection_error(error)

    def _connection_error(self, error: httpx.RequestError) -> APIConnectionError:
        return connection_error(error, self._base_url, self._how.variable)

    def _own_http(self) -> httpx.AsyncClient:
        if self._closed:
            raise ClientClosedError("the client has been closed", hint="Make a new client, or close this one later.")
        if not self._owner.is_here():
            self._http, self._owner = self._connect(), AsyncOwner()
        return self._http

    def _connect(self) -> httpx.AsyncClient:
        how = self._how
        return httpx.AsyncClient(
            base_url=self._base_url,
            headers=self._headers,
            timeout=self._timeout,
            transport=self._transport,
            proxy=how.proxy,
            verify=how.verify,
            trust_env=False,  # what the environment says is in `how`
        )


class AsyncEvents:
    """`client.events`."""

    def __init__(self, ask: AsyncAsk, environment: str | None, follow: AsyncFollow) -> None:
        self._ask = ask
        self._environment = environment
        self._follow = follow

    async def publish(
        self,
        identifier: str,
        payload: Mapping[str, Any],
        channel_id: int | str,
        **fields: Unpack[EventFields],
    ) -> Event:
        """Publishes one event; when this returns, Kafka has acknowledged it and every later read sees it.

        Without `trace_id` the event joins the current trace, which `get_or_create_trace()` or `trace_scope()` made;
        where there is none, it is a trace of its own and leaves none behind. Any payload is written, by
        `axonstream.json_values`: what is not JSON as its marked repr. `occurred_at` is a datetime with zone, ISO 8601
        with zone, or ms since 1970; without it the server's time of arrival. Events of one trace with the same
        `dedup_key` count once; without one, a fresh key makes the retries of this call harmless, but a second call is
        a second event. `fields` are those of `EventFields`, by name.
        """
        return await self._ask(publish_call(identifier, payload, channel_id, fields, self._environment))

    async def publish_many(self, events: Iterable[EventInput | Mapping[str, Any]]) -> BatchResult:
        """Publishes many events at once; the fields of each are those of `publish`.

        One that is wrong takes no other with it: it is in `rejected`, by its place from 0, with the reason, and the
        other events are stored. Raises ValidationError when nothing was stored of a batch that is not empty.
        """
        batch = outgoing_batch(events, self._environment)
        return await self._ask(publish_many_call(batch)) if batch.events else BatchResult(accepted=0)

    def subscribe(
        self,
        *,
        agent_id: str | None = None,
        event_type: EventType | str | None = None,
        trace_id: str | None = None,
        identifier: str | None = None,
        errors_only: bool = False,
        since: str | None = None,
    ) -> AsyncSubscription:
        """All events of the tenant from now on, or from `since` (a subscription's `position`)."""
        call = tenant_stream(
            agentId=agent_id, eventType=event_type, traceId=trace_id, identifier=identifier, errors_only=errors_only
        )
        return self._follow(call, since)


class AsyncTraces:
    """`client.traces`. What was acknowledged before a question is in its answer, or the answer is marked `stale`."""

    def __init__(self, ask: AsyncAsk, follow: AsyncFollow) -> None:
        self._ask = ask
        self._follow = follow

    async def list(self, page: int = 1, limit: int = 20) -> Rows[TraceListItem]:
        """The tenant's traces, newest activity first; pages count from 1, the server caps `limit` at 1,000."""
        return await self._ask(list_traces_call(page, limit))

    async def get_summary(self, trace_id: str) -> TraceSummary:
        """The figures of one trace; NotFoundError if the tenant has none of this id."""
        return await self._ask(summary_call(trace_id))

    async def get_events(self, trace_id: str) -> Rows[Event]:
        """All events of one trace by time, arrival breaking ties; NotFoundError if the tenant has none of this id."""
        return await self._ask(trace_events_call(trace_id))

    async def delete(self, trace_id: str, *, late: str | None = None) -> Deletion:
        """Deletes one trace for good; the key needs the scope admin. Nothing of it is shown once this returns.

        `late` says what becomes of events that come later: "refused", or "stored" as a new trace; None: as the server
        is set. A trace that nobody has is deleted alike.
        """
        return await self._ask(delete_trace_call(trace_id, late))

    async def delete_many(
        self,
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        tenant_id: str | None = None,
        late: str | None = None,
    ) -> Deletion:
        """Deletes the traces whose events name this session or user in their metadata, or all of the tenant.

        NotFoundError when no event names it. Exactly one is given; `tenant_id` must be the key's own. While late
        events of a tenant are refused, nobody can publish for it.
        """
        return await self._ask(delete_traces_call(session_id, user_id, tenant_id, late))

    def subscribe(
        self,
        trace_id: str,
        *,
        agent_id: str | None = None,
        event_type: EventType | str | None = None,
        identifier: str | None = None,
        since: str | None = None,
    ) -> AsyncSubscription:
        """The trace's events from now on, or from `since`; it need not have any yet."""
        return self._follow(
            trace_stream(trace_id, agentId=agent_id, eventType=event_type, identifier=identifier), since
        )
