"""One request as a handler sees it, and the answer that a handler gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from starlette.datastructures import QueryParams
from starlette.types import ASGIApp, Receive, Scope

from axonstream.gateway.control.audit_entry import Actor
from axonstream.gateway.control.credentials import Identity
from axonstream.gateway.http.header_names import Headers
from axonstream.gateway.http.request_body import RequestBody


class Request:
    """One request. `path_params` are the parts of the path that the route names, `receive` is ASGI's.

    `identity` is whose key it has. It is there where the route asks for one, and nowhere else.
    """

    __slots__ = ("_scope", "body", "headers", "identity", "path_params", "receive")

    identity: Identity

    def __init__(
        self, scope: Scope, receive: Receive, headers: Headers, path_params: Mapping[str, str], body: RequestBody
    ) -> None:
        self._scope = scope
        self.receive = receive
        self.headers = headers
        self.path_params = path_params
        self.body = body

    @property
    def method(self) -> str:
        """In capitals. A route for GET is also asked with HEAD."""
        return self._scope["method"]

    @property
    def query(self) -> bytes:
        """What stands behind the question mark."""
        return self._scope.get("query_string", b"")

    @property
    def query_params(self) -> QueryParams:
        """The query's parameters: those that the route takes."""
        return QueryParams(self.query)

    @property
    def actor(self) -> Actor:
        """Who the audit log says this is: the key, and the other end of the connection, which may be a proxy."""
        client = self._scope.get("client")
        return Actor(self.identity.credential.name, "" if client is None else client[0])


class Answer(NamedTuple):
    """A whole answer without headers of its own, which the fast path writes at once."""

    status: int
    body: bytes
    media_type: bytes = b"application/json"


Handler = Callable[[Request], Awaitable[Answer | ASGIApp]]
"""What answers a route: with an `Answer`, or with anything else of ASGI, as one of Starlette's responses."""
