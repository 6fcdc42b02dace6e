"""The one way of a request through the gateway, whatever its route.

1. the row of its route; 2. its head, which has no header twice that decides, and no foreign Host; 3. the query's
parameters; 4. whose key it has, and whether that allows the call; 5. the handler; 6. the answer, or that of the error
table (`errors.py`), counted when it begins.

The fast path differs in three things: the row is found by one look into a dict, the body is taken and the answer
written past ASGI's messages where the server offers that (`exchange.py`), and no time is taken. Starlette's own
routing, middleware and request object take a third of the CPU of publishing one event, so none of them is on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from axonstream.gateway.access.authentication import Authentication, with_bearer
from axonstream.gateway.http.body_room import BodyRoom
from axonstream.gateway.http.errors import answer_to
from axonstream.gateway.http.exchange import exchange_of
from axonstream.gateway.http.header_names import ORIGIN
from axonstream.gateway.http.known_parameters import IGNORED, check_query
from axonstream.gateway.http.request_body import RequestBody
from axonstream.gateway.http.request_counts import METHODS, OTHER_METHOD, CountedSend, RequestCounts
from axonstream.gateway.http.request_head import RequestHead
from axonstream.gateway.routing.browser_pages import cors_headers
from axonstream.gateway.routing.request import Answer, Request
from axonstream.gateway.routing.route import Found, Route, RouteTable


class Dispatcher:
    """An ASGI application for requests of HTTP."""

    def __init__(
        self,
        routes: Sequence[Route],
        head: RequestHead,
        authentication: Authentication,
        room: BodyRoom,
        counts: RequestCounts,
    ) -> None:
        self.table = RouteTable(routes)
        self._fast = {(route.method, route.path): Found(route, {}, route.path) for route in routes if route.fast}
        self._head = head
        self._authentication = authentication
        self._room = room
        self._counts = counts
        for asked in self._fast:
            counts.expect(asked)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method: str = scope["method"]
        asked = method, scope["path"]
        if (found := self._fast.get(asked)) is not None:
            began, exchange = None, exchange_of(scope)
        else:
            began, exchange, found = monotonic(), None, self.table.find(*asked)
            asked = method if method in METHODS else OTHER_METHOD, found.label
        route, page, ignored = found.route, None, ()
        try:
            headers = self._head.headers(scope)
            if route.pages and ORIGIN in headers:
                page = self._authentication.page_of(headers)
            at_hand = None if exchange is None else exchange.body_at_hand()
            body = RequestBody(headers, receive, self._room, at_hand)
            request = Request(scope, receive, headers, found.path_params, body)
            try:
                if (query := scope.get("query_string")) and route.takes is not None:
                    ignored = check_query(query, route.takes, route.ignored)
                if route.scope is not None:
                    shown = with_bearer(headers) if route.bearer else headers
                    request.identity = self._authentication.identify(shown, route.scope)
                answer = await route.handler(request)
            finally:
                body.close()
        except Exception as error:
            sending = CountedSend(self._counts, asked, send, began)
            if await _tell(error, scope, receive, _for_page(sending, page)):
                raise
            return
        if isinstance(answer, Answer):
            if exchange is not None and page is None and exchange.answer(*answer):
                self._counts.answers[asked][answer.status] += 1
                return
            answer = Response(answer.body, answer.status, media_type=answer.media_type.decode())
        if ignored and isinstance(answer, Response):
            answer.headers[IGNORED] = ", ".join(ignored)
        await _send(answer, scope, receive, CountedSend(self._counts, asked, send, began), page)


async def _send(answer: ASGIApp, scope: Scope, receive: Receive, sending: CountedSend, page: bytes | None) -> None:
    """By ASGI's messages. An error that comes after the answer has begun breaks the connection off."""
    send = _for_page(sending, page)
    try:
        await answer(scope, receive, send)
    except Exception as error:
        if sending.begun or await _tell(error, scope, receive, send):
            raise  # a part is never taken for the whole


async def _tell(error: Exception, scope: Scope, receive: Receive, send: Send) -> bool:
    """Answer by the error table. Whether the server has to log the error, too."""
    answer = answer_to(error)
    await answer.response(scope)(scope, receive, send)
    return answer.is_of_a_defect


def _for_page(send: Send, page: bytes | None) -> Send:
    """`send`, which lets the web page of this origin read the answer."""
    return send if page is None else _with_headers(send, cors_headers(page))


def _with_headers(send: Send, headers: dict[str, str]) -> Send:
    more = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *more]
        await send(message)

    return sending
