"""The HTTP face: / takes statements, /ping answers once the engine does."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from uuid import uuid4

from aiohttp import web

from deploy.clickhouse_http.answers import answer
from deploy.clickhouse_http.call import User, authenticate, read_call
from deploy.clickhouse_http.clickhouse_error import BAD_ARGUMENTS, NOT_IMPLEMENTED, ClickHouseError
from deploy.clickhouse_http.engine import Engine
from deploy.clickhouse_http.request_body import BodyLease, BodyMemory, read_body

MAX_FORM_BYTES = 16 << 20
_HOST_NAME = socket.gethostname()


class HttpInterface:
    """Answers requests out of one engine. Every refusal and every failure of the engine is a ClickHouse exception."""

    def __init__(self, engine: Engine, users: Mapping[str, User], bodies: BodyMemory) -> None:
        self._engine = engine
        self._users = users
        self._bodies = bodies

    def application(self) -> web.Application:
        app = web.Application(client_max_size=MAX_FORM_BYTES)
        app.add_routes([web.get("/ping", self.ping), web.get("/", self.statement), web.post("/", self.statement)])
        return app

    async def ping(self, _: web.Request) -> web.Response:
        await self._engine.ping()
        return web.Response(text="Ok.\n")

    async def statement(self, request: web.Request) -> web.StreamResponse:
        query_id = _query_id(request.query)
        try:
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
            return web.Response(
                status=error.status,
                headers={"X-ClickHouse-Exception-Code": str(error.code), "X-ClickHouse-Query-Id": query_id},
                text=f"{error.text} (version {self._engine.version})\n",
            )


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
    for name, value in form.items():
        if not isinstance(value, str):
            raise ClickHouseError(NOT_IMPLEMENTED, "External tables are not supported.", "NOT_IMPLEMENTED")
        args[name] = value
    return args, b""
