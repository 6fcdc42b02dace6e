"""What every handler of a read begins with: whose read it is, and that it gives way to a late one of another tenant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from axonstream.gateway.access.authentication import Authentication
from axonstream.gateway.access.credentials import Identity, KeyScope
from axonstream.gateway.reading.late_reads import LateReads

Of = TypeVar("Of", bound="Reads")


class Reads:
    """A class whose methods are handlers of reads."""

    def __init__(self, authentication: Authentication, late_reads: LateReads) -> None:
        self.authentication = authentication
        self.late_reads = late_reads


def read_handler(
    handler: Callable[[Of, Request, Identity], Awaitable[Response]],
) -> Callable[[Of, Request], Awaitable[Response]]:
    """The handler of a route, of a method that also takes whose read it is."""

    @wraps(handler)
    async def handle(self: Of, request: Request) -> Response:
        identity = self.authentication.identify(request, KeyScope.READ)
        async with self.late_reads.reading(identity.tenant_id):
            return await handler(self, request, identity)

    return handle
