"""From the server's answer to a result or an error: plain functions, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar, cast

import httpx
from pydantic import ValidationError as PydanticError

from axonstream import wire_json
from axonstream.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    AxonStreamError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitError,
    ServerError,
    UnexpectedAnswerError,
    ValidationError,
)

Result = TypeVar("Result")

_NOT_AXONSTREAM = "Check that base_url names an axonstream gateway, and that no proxy answers in its place."
_ERRORS: dict[int, tuple[type[AxonStreamError], str]] = {
    400: (ValidationError, "Correct the argument that the message names."),
    401: (AuthenticationError, "Check the api_key that the client was made with."),
    403: (ForbiddenError, "Use the tenant_id that this api_key belongs to."),
    404: (NotFoundError, "Check the trace_id, the tenant_id and the base_url."),
    409: (ConflictError, "Read what is there before writing it again."),
    413: (PayloadTooLargeError, "Send less in one event, or fewer events in one call."),
    422: (ValidationError, "Correct the argument that the message names."),
    429: (RateLimitError, "Wait for retry_after seconds, then publish again."),
}
_PASSING = frozenset({408, 425, 429})  # request timeout, too early, too many requests
_SERVER_HINT = "Try again later; a repeat with the same dedup_key and trace_id counts once."


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response, read whole."""

    status: int
    headers: Mapping[str, str]  # case-insensitive, as httpx has them
    body: bytes

    @property
    def stale(self) -> bool:
        return self.headers.get("X-Axonstream-Stale", "").lower() == "true"

    @property
    def is_passing(self) -> bool:
        """Whether the same request may be answered otherwise a moment later."""
        return self.status in _PASSING or self.status >= 500

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait, which it says in whole seconds or as a date; None where in neither.

        A date is compared with that of the answer, so that a wrong clock on this side does no harm; else with now.
        """
        text = self.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdecimal():
            return float(text)
        until = _date(text)
        if until is None:
            return None
        now = _date(self.headers.get("Date", "")) or datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())


def answer_of(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.headers, response.content)


def connection_error(error: httpx.RequestError, base_url: str, proxy: str | None = None) -> APIConnectionError:
    """The error for a request that got no answer, with httpx's own as its cause.

    `proxy` is the variable of the environment that named the proxy which the request went through.
    """
    if proxy is not None:
        return _lost_in_a_proxy(error, base_url, proxy)
    if isinstance(error, httpx.TimeoutException):
        lost: APIConnectionError = APITimeoutError(
            f"no answer from {base_url} in time", hint="Check that the server is well, or give the client more timeout."
        )
    else:
        lost = APIConnectionError(
            f"no answer from {base_url}: {str(error) or type(error).__name__}",
            hint="Check that the server runs (`axonstream up`) and that base_url is right.",
        )
    lost.__cause__ = error
    return lost


def _lost_in_a_proxy(error: httpx.RequestError, base_url: str, proxy: str) -> APIConnectionError:
    kind = APITimeoutError if isinstance(error, httpx.TimeoutException) else APIConnectionError
    lost = kind(
        f"no answer from {base_url} through the proxy that {proxy} names: {str(error) or type(error).__name__}",
        hint=f"Correct {proxy}, or add the host to NO_PROXY to ask it directly.",
    )
    lost.__cause__ = error
    return lost


def result_of(answer: Answer, read: Callable[[Any, bool], Result], asked: str) -> Result:
    """What `read(json, stale)` makes of a 2xx answer; raises the error that any other answer stands for."""
    if not 200 <= answer.status < 300:
        raise error_of(answer)
    try:
        return read(wire_json.decode(answer.body), answer.stale)
    except (PydanticError, ValueError, TypeError, LookupError) as error:
        raise UnexpectedAnswerError(
            f"the answer to {asked} is not what axonstream answers",
            status_code=answer.status,
            request_id=answer.headers.get("X-Request-Id"),
            hint=_NOT_AXONSTREAM,
        ) from error


def error_of(answer: Answer) -> AxonStreamError:
    """The error that an answer other than 2xx stands for."""
    fields = _fields_of(answer.body)
    kind, hint = _ERRORS.get(answer.status, (UnexpectedAnswerError, _NOT_AXONSTREAM))
    if answer.status >= 500 or answer.status in (408, 425):
        kind, hint = ServerError, _SERVER_HINT
    message = fields.get("message")
    if isinstance(message, list):
        message = "; ".join(str(part) for part in cast("list[object]", message))
    request_id = fields.get("requestId") or answer.headers.get("X-Request-Id")
    return kind(
        str(message or f"the server answered with {answer.status}"),
        status_code=answer.status,
        request_id=str(request_id) if request_id else None,
        hint=str(fields.get("hint") or hint),
        retry_after=answer.retry_after,
    )


def _date(text: str) -> datetime | None:
    """An HTTP date (RFC 9110, 5.6.7), in any of its three forms."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _fields_of(body: bytes) -> dict[str, Any]:
    try:
        fields = wire_json.decode(body)
    except ValueError:
        return {"message": body[:200].decode("utf-8", "replace").strip()}
    return cast("dict[str, Any]", fields) if isinstance(fields, dict) else {}
