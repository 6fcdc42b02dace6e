"""What the gateway answers when it cannot do what it was asked, as one JSON form.

GatewayError
+- RefusedError         the request is wrong, and the sender can put it right: 4xx, and 501
|  +- RateLimitedError  429 with Retry-After
+- UnavailableError     Kafka or ClickHouse cannot answer in time: 503 with Retry-After; ask again

`axonstream.kafka.errors.NotAcknowledgedError` is answered as 503, too. Any other exception is a defect: 500,
logged by the server with its traceback, of which the sender sees nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from secrets import token_hex
from time import monotonic
from types import MappingProxyType
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from axonstream.kafka.errors import NotAcknowledgedError, PartitionsChangedError

log = logging.getLogger(__name__)

RETRY_AFTER_S = 1
_TELL_AGAIN_S = 5.0

_CODES = {
    400: "validation_error",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "conflict",
    413: "payload_too_large",
    415: "unsupported_media_type",
    421: "misdirected_request",
    429: "rate_limited",
    431: "request_head_too_large",
    500: "internal_error",
    501: "not_implemented",
    503: "unavailable",
}
_HINTS = {
    404: "The calls that this server answers are listed at /openapi.json.",
    405: "The header Allow names the methods that this path answers.",
}
_PUBLISH_AGAIN = (
    "Publish again: with the same dedupKey and traceId the event counts once, whether or not it was stored already."
)


class GatewayError(Exception):
    """Root of this package's errors."""

    status = 500
    details: Mapping[str, Any] = MappingProxyType({})  # further members of the answer

    def __init__(self, message: str | Sequence[str], hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class RefusedError(GatewayError):
    """The request cannot be done as it is; `message` says what is wrong, `hint` what to do."""

    def __init__(
        self, status: int, message: str | Sequence[str], hint: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.headers: dict[str, str] = {}
        self.details = details or {}


class RateLimitedError(RefusedError):
    """Too many requests; `retry_after_s` is when there will be room for one."""

    def __init__(self, message: str, hint: str, retry_after_s: int) -> None:
        super().__init__(429, message, hint)
        self.retry_after_s = retry_after_s


class UnavailableError(GatewayError):
    """A part behind the gateway cannot answer in time; nothing is wrong with the request."""

    status = 503


def fresh_request_id() -> str:
    """The id of a request whose sender gave it none."""
    return f"req_{token_hex(8)}"


def error_body(
    status: int, message: str | Sequence[str], hint: str, request_id: str, details: Mapping[str, Any] | None = None
) -> bytes:
    """The one JSON form of every error, and what it has beside that."""
    body: dict[str, Any] = {
        "message": message if isinstance(message, str) else list(message),
        "code": _CODES.get(status, "error"),
        "statusCode": status,
        "requestId": request_id,
        "hint": hint,
    }
    return orjson.dumps(body | dict(details) if details else body)


def error_response(
    request: Request,
    status: int,
    message: str | Sequence[str],
    hint: str,
    headers: Mapping[str, str] | None = None,
    details: Mapping[str, Any] | None = None,
) -> Response:
    """The JSON answer for an error. `requestId` is the sender's X-Request-Id where it is a sane one."""
    request_id = request.headers.get("x-request-id", "")
    if not 0 < len(request_id) <= 128 or not request_id.isascii() or not request_id.isprintable():
        request_id = fresh_request_id()
    body = error_body(status, message, hint, request_id, details)
    answer_headers = {**(headers or {}), "X-Request-Id": request_id}
    if status == 503:
        answer_headers["Retry-After"] = str(RETRY_AFTER_S)
    return Response(body, status, answer_headers, media_type="application/json")


async def answer_gateway_error(request: Request, error: GatewayError) -> Response:
    """For RefusedError and UnavailableError."""
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, RateLimitedError) else None
    if isinstance(error, RefusedError) and error.headers:
        headers = error.headers
    if error.status == 415:
        headers = {"Accept-Encoding": "gzip"}  # RFC 9110 15.5.16
    return error_response(request, error.status, error.message, error.hint, headers, error.details)


async def answer_not_acknowledged(request: Request, error: NotAcknowledgedError) -> Response:
    """For an append that Kafka did not acknowledge: never a false 2xx (guarantee G1). The log has the cause."""
    _not_acknowledged.tell(error)
    if isinstance(error, PartitionsChangedError):
        return error_response(request, 503, str(error), _PUBLISH_AGAIN)
    return error_response(request, 503, "Kafka did not acknowledge in time", _PUBLISH_AGAIN)


async def answer_http_exception(request: Request, error: HTTPException) -> Response:
    """For what the router itself refuses: an unknown path, a wrong method."""
    hint = _HINTS.get(error.status_code, "See /openapi.json.")
    return error_response(request, error.status_code, error.detail, hint, error.headers)


async def answer_defect(request: Request, _: Exception) -> Response:
    """For everything else; the server logs the traceback after this answer."""
    message = "the server failed on this request"
    return error_response(request, 500, message, "Report the requestId; the server's log has the cause.")


class _Told:
    """Tells the log of causes that senders are not told: of many at once one, with the number of those before it."""

    def __init__(self) -> None:
        self._last_at = -_TELL_AGAIN_S
        self._untold = 0

    def tell(self, cause: Exception) -> None:
        """Log the cause, unless one was logged a moment ago."""
        if monotonic() < self._last_at + _TELL_AGAIN_S:
            self._untold += 1
            return
        log.warning("a publish was not acknowledged: %s (and %d before it)", cause, self._untold)
        self._last_at, self._untold = monotonic(), 0


_not_acknowledged = _Told()

HANDLERS: dict[Any, Any] = {
    GatewayError: answer_gateway_error,
    NotAcknowledgedError: answer_not_acknowledged,
    HTTPException: answer_http_exception,
    Exception: answer_defect,
}
