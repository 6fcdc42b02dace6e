"""What /openapi.json says of the answers that are errors: which of them a call gives, and their one form."""

from __future__ import annotations

from typing import Any

_MEANINGS = {
    400: "The request is wrong; the message names what is",
    401: "No key, or one that is not known",
    403: "The key is not for this, or not for the web page that sends it",
    404: "There is no such thing for this tenant",
    409: "It cannot be while something else is as it is",
    413: "More than one request may carry",
    415: "A Content-Encoding other than gzip",
    421: "The header Host has a name that this gateway does not answer to",
    429: "Too many requests, or live streams, of this key or tenant",
    431: "A head of more than 64 KiB or 100 lines",
    501: "Not taken by this server",
    503: "Kafka or ClickHouse does not answer in time, or no turn became free; ask again",
}
_RETRY_AFTER = {
    "Retry-After": {"required": True, "description": "whole seconds", "schema": {"type": "integer", "minimum": 1}}
}
_ACCEPT_ENCODING = {"Accept-Encoding": {"required": True, "description": "gzip", "schema": {"type": "string"}}}
_ANY = (400, 421, 431)  # every call
_KEYED = (*_ANY, 401, 403, 429, 503)  # every call that asks for a key


def errors(*more: int) -> dict[str, Any]:
    """The error answers of a call that asks for a key, by status: those that each such call has, and these."""
    return {str(status): _answer(status) for status in sorted({*_KEYED, *more})}


def errors_without_key() -> dict[str, Any]:
    """The error answers of a call that asks for no key, beside those of its own."""
    return {str(status): _answer(status) for status in _ANY}


def _answer(status: int) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}
    answer: dict[str, Any] = {"description": _MEANINGS[status], "content": content}
    if status == 415:
        return answer | {"headers": _ACCEPT_ENCODING}
    return answer | {"headers": _RETRY_AFTER} if status in (429, 503) else answer
