"""What can go wrong, as one tree.

    AxonStreamError
    ├── ValidationError         an argument is wrong: found here before anything was sent, or by the server (400)
    ├── AuthenticationError     the API key is not known (401)
    ├── ForbiddenError          the API key belongs to another tenant (403)
    ├── NotFoundError           no such trace for this tenant (404)
    ├── ConflictError           the request contradicts what the server has (409)
    ├── PayloadTooLargeError    an event is over its limit (413)
    ├── RateLimitError          too many requests, also after the retries (429)
    ├── ServerError             the server could not answer, also after the retries (5xx, 408, 425)
    ├── UnexpectedAnswerError   something answered that does not speak the contract: a proxy, another server
    ├── APIConnectionError      no answer came, also after the retries
    │   └── APITimeoutError     no answer came in time
    └── ClientClosedError       the client was used after it was closed

After APIConnectionError, ServerError or RateLimitError it is not known whether the event was stored. Publishing it
again with the same `dedup_key` and `trace_id` is harmless.
"""

from __future__ import annotations


class AxonStreamError(Exception):
    """The root. What is not known is None; `retry_after` is in seconds, `attempts` counts requests that were sent."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        request_id: str | None = None,
        hint: str | None = None,
        retry_after: float | None = None,
        attempts: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code
        self.request_id = request_id
        self.hint = hint
        self.retry_after = retry_after
        self.attempts = attempts

    def __str__(self) -> str:
        facts = [
            f"HTTP {self.status_code}" if self.status_code is not None else "",
            f"request {self.request_id}" if self.request_id else "",
            f"{self.attempts} attempts" if self.attempts > 1 else "",
        ]
        known = ", ".join(fact for fact in facts if fact)
        text = f"{self.message.rstrip('.')}. {self.hint}" if self.hint else self.message
        return f"{text} ({known})" if known else text


class ValidationError(AxonStreamError):
    """An argument is wrong; the message names the field. Nothing of the event was stored."""


class AuthenticationError(AxonStreamError):
    """The API key is missing or not known."""


class ForbiddenError(AxonStreamError):
    """The API key may not act for this tenant."""


class NotFoundError(AxonStreamError):
    """There is no such trace for this tenant; another tenant's trace looks the same."""


class ConflictError(AxonStreamError):
    """The request contradicts what the server has."""


class PayloadTooLargeError(AxonStreamError):
    """An event, or the whole request, is over the server's limit. Nothing of it was stored."""


class RateLimitError(AxonStreamError):
    """The server asked to slow down; `retry_after` says for how long, where it did."""


class ServerError(AxonStreamError):
    """The server could not answer. 503 means that Kafka or ClickHouse cannot answer in time."""


class UnexpectedAnswerError(AxonStreamError):
    """The answer is not one of axonstream's; most often `base_url` names something else."""


class APIConnectionError(AxonStreamError):
    """The server could not be reached, or the connection was lost before the answer."""


class APITimeoutError(APIConnectionError):
    """No answer came within the client's `timeout`."""


class ClientClosedError(AxonStreamError):
    """The client has been closed; make a new one."""
