"""A read ends with its client: who goes away takes along what ClickHouse still does for the request."""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import ASGIApp

from axonstream.gateway.routing.request import Answer, Handler, Request

_CLIENT_CLOSED_REQUEST = 499  # nginx's, for its logs and our counts: nobody gets this answer


def ends_with_its_client(handler: Handler) -> Handler:
    """`handler`, which is cancelled when the client of its request closes the connection before there is an answer."""

    async def handle(request: Request) -> Answer | ASGIApp:
        answering = asyncio.ensure_future(handler(request))
        leaving = asyncio.ensure_future(_until_gone(request))
        try:
            await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                return answering.result()
            return Response(status_code=_CLIENT_CLOSED_REQUEST)
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.wait([answering, leaving])

    return handle


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
