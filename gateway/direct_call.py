"""A call as a bare ASGI application, past Starlette's routing, middleware and request object, with the same answers.

They take a third of the CPU of publishing one event.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from gateway.errors import GatewayError, answer_defect, answer_gateway_error, answer_not_acknowledged
from producers.errors import NotAcknowledgedError

Headers = dict[bytes, bytes]  # names in lower case; of a name that is sent twice the last


class DirectCall:
    """Answers a request with the status and the JSON that `answer` gives, or with its error in the gateway's form."""

    def __init__(self, answer: Callable[[Headers, Receive], Awaitable[tuple[int, bytes]]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, body = await self._answer(dict(scope["headers"]), receive)
        except GatewayError as error:
            await (await answer_gateway_error(Request(scope), error))(scope, receive, send)
        except NotAcknowledgedError as error:
            await (await answer_not_acknowledged(Request(scope), error))(scope, receive, send)
        except Exception as error:
            await (await answer_defect(Request(scope), error))(scope, receive, send)
            raise  # the server logs it
        else:
            headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})


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
