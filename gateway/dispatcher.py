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

from axonstream.gateway.authentication import ORIGIN, Authentication, with_bearer
from axonstream.gateway.errors import answer_to
from axonstream.gateway.exchange import exchange_of
from axonstream.gateway.known_parameters import IGNORED, check_query
from axonstream.gateway.publishing.body_room import BodyRoom
from axonstream.gateway.publishing.browser_pages import cors_headers
from axonstream.gateway.publishing.request_body import RequestBody
from axonstream.gateway.request import Answer, Request
from axonstream.gateway.request_counts import METHODS, OTHER_METHOD, CountedSend, RequestCounts
from axonstream.gateway.request_head import RequestHead
from axonstream.gateway.route import Found, Route, RouteTable


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
        page = None
        answer: Answer | ASGIApp | Exception
        try:
            headers = self._head.headers(scope)
            if found.route.pages and ORIGIN in headers:
                page = self._authentication.page_of(headers)
            at_hand = None if exchange is None else exchange.body_at_hand()
            body = RequestBody(headers, receive, self._room, at_hand)
            try:
                answer = await self._answer(Request(scope, receive, headers, found.path_params, body), found.route)
            finally:
                body.close()
        except Exception as error:  # noqa: BLE001  the error table answers it
            answer = error
        if exchange is not None and page is None and isinstance(answer, Answer) and exchange.answer(*answer):
            self._counts.add(asked, answer.status)
            return
        sending = CountedSend(self._counts, asked, send, began)
        await _send(answer, scope, receive, sending, page)

    async def _answer(self, request: Request, route: Route) -> Answer | ASGIApp:
        ignored: Sequence[str] = ()
        if (query := request.query) and route.takes is not None:
            ignored = check_query(query, route.takes, route.ignored)
        if route.scope is not None:
            headers = with_bearer(request.headers) if route.bearer else request.headers
            request.identity = self._authentication.identify(headers, route.scope)
        answer = await route.handler(request)
        if ignored and isinstance(answer, Response):
            answer.headers[IGNORED] = ", ".join(ignored)
        return answer


async def _send(
    answer: Answer | ASGIApp | Exception, scope: Scope, receive: Receive, sending: CountedSend, page: bytes | None
) -> None:
    """Send by ASGI's messages. An error that comes after the answer has begun breaks the connection off."""
    send: Send = sending if page is None else _with_headers(sending, cors_headers(page))
    try:
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Answer):
            answer = Response(answer.body, answer.status, media_type=answer.media_type.decode())
        await answer(scope, receive, send)
    except Exception as error:
        if sending.begun:
            raise  # a part is never taken for the whole
        refusal = answer_to(error)
        await refusal.response(scope)(scope, receive, send)
        if refusal.is_of_a_defect:
            raise  # the server logs it


def _with_headers(send: Send, headers: dict[str, str]) -> Send:
    more = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *more]
        await send(message)

    return sending
