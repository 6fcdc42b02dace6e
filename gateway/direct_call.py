"""A call as a bare ASGI application, past Starlette's routing, middleware and request object, with the same answers.

They take a third of the CPU of publishing one event.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.errors import GatewayError, answer_defect, answer_gateway_error, answer_not_acknowledged
from gateway.http_protocol import exchange_of
from gateway.request_body import RequestBody
from producers.errors import NotAcknowledgedError

Headers = dict[bytes, bytes]  # names in lower case; of a name that is sent twice the last


class DirectCall:
    """Answers a request with the status and the JSON that `answer` gives, or with its error in the gateway's form."""

    def __init__(self, answer: Callable[[Headers, RequestBody], Awaitable[tuple[int, bytes]]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        headers: Headers = dict(scope["headers"])
        sent = RequestBody(headers, receive, None if exchange is None else exchange.body_at_hand())
        try:
            status, body = await self._answer(headers, sent)
        except GatewayError as error:
            await (await answer_gateway_error(Request(scope), error))(scope, receive, send)
        except NotAcknowledgedError as error:
            await (await answer_not_acknowledged(Request(scope), error))(scope, receive, send)
        except Exception as error:
            await (await answer_defect(Request(scope), error))(scope, receive, send)
            raise  # the server logs it
        else:
            if exchange is None or not exchange.answer(status, body):
                await Response(body, status, media_type="application/json")(scope, receive, send)


class DirectlyCalled(Starlette):
    """The application, which hands a POST to one of its direct calls at once; its routes name them all the same."""

    def __init__(self, direct: dict[str, DirectCall], **options: object) -> None:
        super().__init__(**options)  # pyright: ignore[reportArgumentType]
        self._direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and (call := self._direct.get(scope["path"])):
            await call(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
