"""A server in memory: an httpx transport that answers the calls of the SDK as a gateway does.

It takes `POST /event` and `/events`, and answers the reads of traces and the lists of events. Statuses, codes, fields
and headers are those of a gateway, and one suite of tests runs over both. A refusal names the same fields, in words of
its own. Not answered, with 501: live subscriptions, deletions, and what manages keys, apps and channels. It keeps no
bytes of a sender: of a repeated key in a JSON object, the last one counts. Nothing is ever stale, limited or late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any
from urllib.parse import unquote

import httpx

from axonstream.async_client import AsyncAxonPush
from axonstream.client import AxonPush
from axonstream.results import Event
from axonstream.testing.asked import Asked, RefusedError
from axonstream.testing.collected import Collected
from axonstream.testing.memory_calls import CALLS, MemoryCalls, json_answer
from axonstream.testing.memory_store import MemoryStore
from axonstream.testing.ticking_clock import ticking

_CODES = {
    400: "validation_error",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    429: "rate_limited",
    500: "internal_error",
    501: "not_implemented",
    503: "unavailable",
}


class MemoryServer:
    """Answers requests, and keeps what was published. Threads and event loops may share it.

    `keys` has the tenant of each API key. `clock` gives ms since 1970: the time at which an event arrives. Without it,
    the first event arrives at 2026-01-01T00:00:00Z and each one a second after the one before.
    """

    def __init__(self, keys: Mapping[str, str] | None = None, clock: Callable[[], int] | None = None) -> None:
        self._keys = {"ak_local": "1"} if keys is None else dict(keys)
        self._clock = ticking() if clock is None else clock
        self._lock = Lock()
        self._failures: list[int | Exception] = []
        self._request_ids = 0
        self.transport = httpx.MockTransport(self.answer)
        self.clear()

    def clear(self) -> None:
        """Forget every event, request and failure; the clock goes on."""
        self._store = MemoryStore(self._clock)
        self._failures.clear()
        self.requests: list[httpx.Request] = []

    @property
    def events(self) -> Collected:
        """What was published, of all tenants, in the order of arrival."""
        with self._lock:
            return Collected(Event.model_validate(one.row) for one in self._store.arrived())

    def client(self, api_key: str = "ak_local", **options: Any) -> AxonPush:
        """A client of this server, which does not wait between retries; `options` are those of AxonPush."""
        given: dict[str, Any] = {"transport": self.transport, "sleep": _no_wait} | options
        return AxonPush(api_key, given.pop("tenant_id", self._keys.get(api_key, "1")), **given)

    def async_client(self, api_key: str = "ak_local", **options: Any) -> AsyncAxonPush:
        """As `client`, for asyncio."""
        given: dict[str, Any] = {"transport": self.transport, "sleep": _no_wait_async} | options
        return AsyncAxonPush(api_key, given.pop("tenant_id", self._keys.get(api_key, "1")), **given)

    def fail_next(self, failure: int | Exception = 503, times: int = 1) -> None:
        """Answer the next requests with this status, or raise this error of httpx; nothing of them is stored."""
        self._failures += [failure] * times

    def answer(self, request: httpx.Request) -> httpx.Response:
        """The answer to one request, as the transport gives it."""
        with self._lock:
            self.requests.append(request)
            failure = self._failures.pop(0) if self._failures else None
            if isinstance(failure, Exception):
                raise failure
            try:
                if failure is not None:
                    raise RefusedError(failure, "the test asked for this failure", "Ask again.")
                return self._answer(request)
            except RefusedError as refused:
                return self._refusal(request, refused)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.partition(b"?")[0].decode("ascii")
        methods = {call.method: (call, found) for call in CALLS if (found := call.match(path))}
        if not methods:
            raise RefusedError(404, "Not Found", "The calls that this server answers are in docs/testing.md.")
        if request.method not in methods:
            raise RefusedError(405, "Method Not Allowed", "The header Allow names the methods that this path answers.")
        call, found = methods[request.method]
        for name in request.url.params:
            if name not in call.takes:
                taken = f"This call takes {', '.join(call.takes)}." if call.takes else "It takes none."
                raise RefusedError(400, f"unknown parameter {name}", f"Correct it, or leave it out. {taken}")
        asked = Asked(request, self._tenant_of(request), [unquote(part) for part in found.groups()])
        return call.answer(MemoryCalls(self._store), asked)

    def _tenant_of(self, request: httpx.Request) -> str:
        key, tenant = request.headers.get("x-api-key"), request.headers.get("x-tenant-id")
        if not key:
            raise RefusedError(
                401, "no API key was sent", "Send your key in the header X-API-Key, and its tenant in x-tenant-id."
            )
        if key not in self._keys:
            raise RefusedError(401, "the API key is not known here", "Check the key; it may be revoked.")
        if not tenant:
            raise RefusedError(400, "the header x-tenant-id is missing", "Send the tenant that the key belongs to.")
        if tenant != self._keys[key]:
            raise RefusedError(
                403, "the API key does not belong to this tenant", "Send the key's own tenant in x-tenant-id."
            )
        return tenant

    def _refusal(self, request: httpx.Request, refused: RefusedError) -> httpx.Response:
        self._request_ids += 1
        request_id = request.headers.get("x-request-id") or f"req_{self._request_ids:016x}"
        body = {
            "message": refused.message,
            "code": _CODES.get(refused.status, "error"),
            "statusCode": refused.status,
            "requestId": request_id,
            "hint": refused.hint,
        }
        headers = {"X-Request-Id": request_id}
        if refused.status == 503:
            headers["Retry-After"] = "1"
        return json_answer(body | refused.details, headers, refused.status)


def _no_wait(_: float) -> None:
    return


async def _no_wait_async(_: float) -> None:
    return
