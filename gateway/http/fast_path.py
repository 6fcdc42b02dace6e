"""A call as a bare ASGI application, past Starlette's routing, middleware and request object, with the same answers.

They take a third of the CPU of publishing one event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from axonstream.gateway.access.authentication import ORIGIN, Headers
from axonstream.gateway.http.errors import GatewayError, answer_defect, answer_gateway_error, answer_not_acknowledged
from axonstream.gateway.http.exchange import exchange_of
from axonstream.gateway.http.known_parameters import refuse_query
from axonstream.gateway.http.request_counts import RequestCounts
from axonstream.gateway.http.request_head import RequestHead
from axonstream.gateway.publishing.body_room import BodyRoom
from axonstream.gateway.publishing.browser_pages import cors_headers
from axonstream.gateway.publishing.request_body import RequestBody
from axonstream.kafka.errors import NotAcknowledgedError

USUAL = (200, 201, 400, 401, 413, 415, 429, 500, 503)  # counted from 0 on, so that the first of them is seen to come


class DirectCall:
    """Answers a request with the status and the JSON that `answer` gives, or with its error in the gateway's form.

    `answers` counts them, which takes 0.03 us: `request_counts` costs more. `page_of` gives the origin of the web page
    that may read the answer.
    """

    def __init__(
        self,
        answer: Callable[[Headers, RequestBody], Awaitable[tuple[int, bytes]]],
        head: RequestHead,
        room: BodyRoom,
        page_of: Callable[[Headers], bytes | None],
    ) -> None:
        self._answer = answer
        self._head = head
        self._room = room
        self._page_of = page_of
        self.answers: defaultdict[int, int] = defaultdict(int, dict.fromkeys(USUAL, 0))  # by status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        try:
            headers = self._head.headers(scope)
            if ORIGIN in headers and (page := self._page_of(headers)) is not None:
                exchange, send = None, _with_headers(send, cors_headers(page))
            at_hand = None if exchange is None else exchange.body_at_hand()
            if query := scope.get("query_string"):
                refuse_query(query)
            sent = RequestBody(headers, receive, self._room, at_hand, scope.get("client"))
            try:
                status, body = await self._answer(headers, sent)
            finally:
                sent.close()
        except GatewayError as error:
            self.answers[error.status] += 1
            await (await answer_gateway_error(Request(scope), error))(scope, receive, send)
        except NotAcknowledgedError as error:
            self.answers[503] += 1
            await (await answer_not_acknowledged(Request(scope), error))(scope, receive, send)
        except Exception as error:
            self.answers[500] += 1
            await (await answer_defect(Request(scope), error))(scope, receive, send)
            raise  # the server logs it
        else:
            self.answers[status] += 1
            if exchange is None or not exchange.answer(status, body):
                await Response(body, status, media_type="application/json")(scope, receive, send)


def _with_headers(send: Send, headers: dict[str, str]) -> Send:
    more = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *more]
        await send(message)

    return sending


class DirectlyCalled(Starlette):
    """The application, which hands a POST to one of its direct calls at once; its routes name them all the same.

    Both ways begin with `RequestHead`, so that no handler meets a header that stands twice, or a foreign Host.
    """

    def __init__(
        self, direct: dict[str, DirectCall], requests: RequestCounts, head: RequestHead, **options: object
    ) -> None:
        super().__init__(**options)  # pyright: ignore[reportArgumentType]
        self._requests = requests
        self._head = head
        self._direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and (call := self._direct.get(scope["path"])):
            await call(scope, receive, send)
        elif scope["type"] == "http":
            counted = self._requests.counting(scope, send)
            try:
                self._head.headers(scope)
            except GatewayError as error:
                await (await answer_gateway_error(Request(scope), error))(scope, receive, counted)
            else:
                await super().__call__(scope, receive, counted)
        else:
            await super().__call__(scope, receive, send)
