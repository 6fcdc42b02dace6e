"""What the gateway answers when it cannot do what it was asked: one table, and one JSON form.

GatewayError
+- RefusedError         the request is wrong, and the sender can put it right: 4xx, and 501
|  +- RateLimitedError  429 with Retry-After
+- UnavailableError     Kafka or ClickHouse cannot answer in time: 503 with Retry-After; ask again

`axonstream.kafka.errors.NotAcknowledgedError` is answered as 503, too. Any other exception is a defect: 500,
logged by the server with its traceback, of which the sender sees nothing. `ERRORS` is the table.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex
from time import monotonic
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson
from starlette.responses import Response
from starlette.types import Scope

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
_HEADERS = {
    415: {"Accept-Encoding": "gzip"},  # RFC 9110 15.5.16
    503: {"Retry-After": str(RETRY_AFTER_S)},
}
_PUBLISH_AGAIN = (
    "Publish again: with the same dedupKey and traceId the event counts once, whether or not it was stored already."
)
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class GatewayError(Exception):
    """Root of this package's errors. The answer has `headers` beside those of its status, and `details` in its body."""

    status = 500
    headers: Mapping[str, str] = _NOTHING
    details: Mapping[str, Any] = _NOTHING

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
        self.details = details or {}


class RateLimitedError(RefusedError):
    """Too many requests; `retry_after_s` is when there will be room for one."""

    def __init__(self, message: str, hint: str, retry_after_s: int) -> None:
        super().__init__(429, message, hint)
        self.retry_after_s = retry_after_s
        self.headers = {"Retry-After": str(retry_after_s)}


class UnavailableError(GatewayError):
    """A part behind the gateway cannot answer in time; nothing is wrong with the request."""

    status = 503


class ErrorAnswer(NamedTuple):
    """What the sender of a request is told of an error."""

    status: int
    message: str | Sequence[str]
    hint: str
    headers: Mapping[str, str] = _NOTHING
    details: Mapping[str, Any] = _NOTHING

    @property
    def is_of_a_defect(self) -> bool:
        """Whether the log needs the traceback."""
        return self.status == 500

    def response(self, scope: Scope) -> Response:
        """For a request. `requestId` is the sender's X-Request-Id where it is a sane one."""
        request_id = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
        if not 0 < len(request_id) <= 128 or not request_id.isascii() or not request_id.isprintable():
            request_id = fresh_request_id()
        body = error_body(self.status, self.message, self.hint, request_id, self.details)
        headers = {**self.headers, "X-Request-Id": request_id, **_HEADERS.get(self.status, _NOTHING)}
        return Response(body, self.status, headers, media_type="application/json")


def answer_to(error: Exception) -> ErrorAnswer:
    """By the table: what it has for the nearest class of the error."""
    return next(ERRORS[kind] for kind in type(error).__mro__ if kind in ERRORS)(error)


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


_untold_causes = _Told()


def _as_it_says(error: GatewayError) -> ErrorAnswer:
    return ErrorAnswer(error.status, error.message, error.hint, error.headers, error.details)


def _not_acknowledged(error: NotAcknowledgedError) -> ErrorAnswer:
    """Never a false 2xx (guarantee G1). The log has the cause."""
    _untold_causes.tell(error)
    return ErrorAnswer(503, "Kafka did not acknowledge in time", _PUBLISH_AGAIN)


def _partitions_changed(error: PartitionsChangedError) -> ErrorAnswer:
    """Its words may be told."""
    _untold_causes.tell(error)
    return ErrorAnswer(503, str(error), _PUBLISH_AGAIN)


def _defect(_: Exception) -> ErrorAnswer:
    """The server logs the traceback after this answer."""
    hint = "Report the requestId; the server's log has the cause."
    return ErrorAnswer(500, "the server failed on this request", hint)


ERRORS: dict[type[BaseException], Callable[[Any], ErrorAnswer]] = {
    GatewayError: _as_it_says,
    NotAcknowledgedError: _not_acknowledged,
    PartitionsChangedError: _partitions_changed,
    Exception: _defect,
}
"""An exception -> its answer. What is not here is answered as its base class is."""
