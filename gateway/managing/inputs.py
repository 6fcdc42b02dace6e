"""What the management calls take, and the words for what is wrong with it."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic.alias_generators import to_camel

from axonstream.event_contract import MAX_ID, MAX_NAME_BYTES
from axonstream.event_fields import EVENT_TYPE_PATTERN
from axonstream.gateway.http.errors import RefusedError
from axonstream.gateway.managing.webhook_urls import host_of

MAX_URL_BYTES = 2048
MAX_TEXT_BYTES = 1024
MAX_EVENT_TYPES = 64

_MUST_BE = {
    "name": f"must be a non-empty string of at most {MAX_NAME_BYTES} bytes without control characters",
    "appId": f"must be the id of an app: a whole number from 0 to {MAX_ID}, or its digits in a string",
    "channelId": f"must be the id of a channel: a whole number from 0 to {MAX_ID}, or its digits in a string",
    "url": f"must be written http(s)://host/path in at most {MAX_URL_BYTES} bytes of ASCII: a plain name or IP address "
    "as the host, no user, backslash or fragment, and as the port, if any, 80, 443 or one from 1024 on",
    "eventTypes": f"must be a list of at most {MAX_EVENT_TYPES} event types, as agent.error, or left out for all",
    "description": f"must be a string of at most {MAX_TEXT_BYTES} bytes, or left out",
    "secret": f"must be a string of 8 to {MAX_TEXT_BYTES} bytes, or left out for the server to make one",
}


def _at_most(most: int) -> AfterValidator:
    def check(text: str) -> str:
        if len(text.encode("utf-8", "surrogatepass")) > most or not text.isprintable():
            raise ValueError("too long, or not printable")
        text.encode()
        return text

    return AfterValidator(check)


def _id(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, str) and not (value.isascii() and value.isdecimal())):
        raise ValueError("must be a whole number, or its digits in a string")
    return value


def _webhook_url(url: str) -> str:
    """How it is written; whether its host may be a receiver depends on the server's settings."""
    host_of(url)
    return url


_ID_FORMS = [{"type": "integer", "minimum": 0, "maximum": MAX_ID}, {"type": "string", "pattern": "^[0-9]{1,19}$"}]
_URL_FORM = {
    "type": "string",
    "pattern": "^[hH][tT][tT][pP][sS]?://[0-9A-Za-z._:\\[\\]-]+(/[!-~]*)?$",
    "maxLength": MAX_URL_BYTES,
}

AnId = Annotated[int, BeforeValidator(_id), Field(ge=0, le=MAX_ID), WithJsonSchema({"anyOf": _ID_FORMS})]
AName = Annotated[str, Field(min_length=1), _at_most(MAX_NAME_BYTES)]
AType = Annotated[str, Field(pattern=EVENT_TYPE_PATTERN)]


class _Input(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)


class AppInput(_Input):
    """POST /apps, PATCH /apps/{id}."""

    name: AName


class ChannelInput(_Input):
    """POST /channel."""

    name: AName
    app_id: AnId


class AppChannelInput(_Input):
    """POST /apps/{app}/channels, PUT /apps/{app}/channels/{id}: the path names the app."""

    name: AName


class ChannelChange(_Input):
    """PUT /channel/{id}: what is left out stays."""

    name: AName | None = None
    app_id: AnId | None = None


class EndpointInput(_Input):
    """POST /webhooks/endpoints."""

    url: Annotated[str, _at_most(MAX_URL_BYTES), AfterValidator(_webhook_url), WithJsonSchema(_URL_FORM)]
    channel_id: AnId
    event_types: Annotated[list[AType], Field(max_length=MAX_EVENT_TYPES)] | None = None
    description: Annotated[str, _at_most(MAX_TEXT_BYTES)] | None = None
    secret: Annotated[str, Field(min_length=8), _at_most(MAX_TEXT_BYTES)] | None = None


Input = TypeVar("Input", bound=_Input)


def read_input(body: bytes, form: type[Input]) -> Input:
    """The body, validated. Raises RefusedError 400, which names every wrong field and what it must be."""
    hint = "Correct the named field and send it again; nothing was changed."
    try:
        fields: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusedError(400, f"not valid JSON in UTF-8: {error}", "Send one JSON object.") from None
    if not isinstance(fields, dict):
        raise RefusedError(400, "the body must be a JSON object", "Send one JSON object.")
    try:
        return form.model_validate(fields)
    except ValidationError as error:
        messages: dict[str, None] = {}
        for problem in error.errors(include_url=False, include_context=False, include_input=False):
            missing = " (it is missing)" if problem["type"] == "missing" else ""
            messages[f"{problem['loc'][0]} {_MUST_BE[str(problem['loc'][0])]}{missing}"] = None
        raise RefusedError(400, list(messages), hint) from None
