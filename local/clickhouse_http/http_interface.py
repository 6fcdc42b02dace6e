"""The HTTP face: / takes statements, /ping answers once the engine does."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping
from uuid import uuid4

from aiohttp import web

from axonstream.clickhouse.codes import BAD_ARGUMENTS, NOT_IMPLEMENTED, POCO_EXCEPTION
from axonstream.local.clickhouse_http.answers import answer
from axonstream.local.clickhouse_http.call import User, authenticate, read_call
from axonstream.local.clickhouse_http.caller import check_caller, own_addresses
from axonstream.local.clickhouse_http.clickhouse_error import ClickHouseError
from axonstream.local.clickhouse_http.engine import Engine
from axonstream.local.clickhouse_http.form_limits import MAX_FIELDS, check_field, check_url_fields
from axonstream.local.clickhouse_http.request_body import BodyLease, BodyMemory, read_body

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MAX_FORM_BYTES = 16 << 20
_HOST_NAME = socket.gethostname()


class HttpInterface:
    """Answers requests out of one engine. Every refusal and every failure of the engine is a ClickHouse exception."""

    def __init__(self, engine: Engine, users: Mapping[str, User], bodies: BodyMemory, *, on_loopback: bool) -> None:
        self._engine = engine
        self._users = users
        self._bodies = bodies
        self._on_loopback = on_loopback

    def application(self) -> web.Application:
        app = web.Application(client_max_size=MAX_FORM_BYTES, middlewares=[self._check_caller])
        app.add_routes([web.get("/ping", self.ping), web.get("/", self.statement), web.post("/", self.statement)])
        return app

    @web.middleware
    async def _check_caller(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        addresses = own_addresses(_port(request)) if self._on_loopback else None
        try:
            check_caller(lambda name: request.headers.getall(name, []), addresses)
        except ClickHouseError as error:
            return self._told(error)
        return await handler(request)

    async def ping(self, _: web.Request) -> web.Response:
        await self._engine.ping()
        return web.Response(text="Ok.\n")

    async def statement(self, request: web.Request) -> web.StreamResponse:
        query_id = _query_id(request.query)
        try:
            check_url_fields(request.rel_url.raw_query_string)
            user = authenticate(request.headers, request.query, self._users)
            with self._bodies.lease() as lease:
                args, body = await _arguments(request, lease)
                call = read_call(
                    method=request.method, query_id=query_id, headers=request.headers, args=args, body=body, user=user
                )
                headers = {
                    "X-ClickHouse-Query-Id": query_id,
                    "X-ClickHouse-Timezone": self._engine.timezone,
                    "X-ClickHouse-Server-Display-Name": _HOST_NAME,
                }
                job = answer(self._engine, request, call, headers)
                return await self._engine.work(job, query_id, stop_when_left=call.only_reads)
        except ClickHouseError as error:
            return self._told(error, {"X-ClickHouse-Query-Id": query_id})

    def _told(self, error: ClickHouseError, headers: Mapping[str, str] | None = None) -> web.Response:
        return web.Response(
            status=error.status,
            headers={"X-ClickHouse-Exception-Code": str(error.code), **(headers or {})},
            text=f"{error.text} (version {self._engine.version})\n",
        )


def _port(request: web.Request) -> int:
    """The one that is listened on; 0 for a client that has left."""
    transport = request.transport
    return int(transport.get_extra_info("sockname")[1]) if transport is not None else 0


def _query_id(args: Mapping[str, str]) -> str:
    """The client's, or a new one; it goes into a header, so one that could not is not taken."""
    given = args.get("query_id", "")
    return given if given and given.isprintable() else str(uuid4())


async def _arguments(request: web.Request, lease: BodyLease) -> tuple[dict[str, str], bytes]:
    """(URL parameters and form fields, body): a multipart form carries long parameters, and then there is no body."""
    args = dict(request.query)
    if request.content_type != "multipart/form-data":
        return args, await read_body(request, lease)
    lease.take(min(request.content_length or MAX_FORM_BYTES, MAX_FORM_BYTES))
    try:
        form = await request.post()
    except (ValueError, AssertionError) as error:
        raise ClickHouseError(BAD_ARGUMENTS, "The form cannot be read.", "BAD_ARGUMENTS") from error
    if len(form) > MAX_FIELDS:
        raise ClickHouseError(POCO_EXCEPTION, "HTML Form Exception: Too many form fields", "POCO_EXCEPTION")
    for name, value in form.items():
        if not isinstance(value, str):
            raise ClickHouseError(NOT_IMPLEMENTED, "External tables are not supported.", "NOT_IMPLEMENTED")
        check_field(len(name), len(value.encode()))
        args[name] = value
    return args, b""
