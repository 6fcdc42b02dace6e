"""What every handler of a read begins with: whose read it is, and that it gives way to a late one of another tenant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeVar

from starlette.responses import Response

from axonstream.gateway.control.credentials import Identity
from axonstream.gateway.reading.late_reads import LateReads
from axonstream.gateway.routing.request import Request

Of = TypeVar("Of", bound="Reads")


class Reads:
    """A class whose methods are handlers of reads."""

    def __init__(self, late_reads: LateReads) -> None:
        self.late_reads = late_reads


def read_handler(
    handler: Callable[[Of, Request, Identity], Awaitable[Response]],
) -> Callable[[Of, Request], Awaitable[Response]]:
    """The handler of a route, of a method that also takes whose read it is."""

    @wraps(handler)
    async def handle(self: Of, request: Request) -> Response:
        async with self.late_reads.reading(request.identity.tenant_id):
            return await handler(self, request, request.identity)

    return handle
