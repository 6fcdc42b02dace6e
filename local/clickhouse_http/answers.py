"""What a call is answered with: a summary for an INSERT, blocks for a SELECT, a whole result for the rest."""

from __future__ import annotations

import asyncio
import json
import time
from secrets import token_hex

import lz4.frame
from aiohttp import web

from axonstream.clickhouse.codes import ABORTED
from axonstream.local.clickhouse_http.call import Call
from axonstream.local.clickhouse_http.clickhouse_error import ClickHouseError
from axonstream.local.clickhouse_http.connection import Blocks, Connection, summary_of
from axonstream.local.clickhouse_http.engine import Engine
from axonstream.local.clickhouse_http.insert_statement import Insert
from axonstream.local.clickhouse_http.permission import Permission
from axonstream.local.clickhouse_http.sql_text import RESULT_VERBS, STREAMING_VERBS
from axonstream.local.clickhouse_http.wire_format import (
    CONTENT_TYPES,
    OTHER_CONTENT_TYPE,
    STREAMABLE_FORMATS,
    exception_block,
)

READER_STALLED_S = 180.0
# The data of an INSERT are not judged, so the engine must not evaluate them (as it does with those of VALUES).
_LITERALS_ONLY = {
    "input_format_values_interpret_expressions": "0",
    "input_format_values_deduce_templates_of_expressions": "0",
}


async def answer(engine: Engine, request: web.Request, call: Call, headers: dict[str, str]) -> web.StreamResponse:
    """Run the call, once it is allowed, on a connection of its own. KILL has slots of its own: it must pass when all
    others are taken.
    """
    permission = await engine.permission(call.judged, call.settings)
    call.check(permission)
    slots = engine.kill_slots if call.verb == "KILL" else engine.query_slots
    async with slots, engine.connection(call.session) as connection:
        if call.insert is not None:
            if request.transport is None:  # it may have looked, found nothing, and be inserting the same again
                raise ClickHouseError(ABORTED, "The client left before its INSERT began.", "ABORTED")
            return await engine.run(_insert, connection, call, call.insert, headers)
        if call.verb in RESULT_VERBS:
            headers["X-ClickHouse-Format"] = call.output_format
        headers["Content-Type"] = CONTENT_TYPES.get(call.output_format, OTHER_CONTENT_TYPE)
        if call.verb in STREAMING_VERBS and call.output_format in STREAMABLE_FORMATS and not call.whole:
            return await _stream(engine, request, connection, call, headers)
        return await engine.run(_whole, connection, call, permission, headers)


def _insert(connection: Connection, call: Call, insert: Insert, headers: dict[str, str]) -> web.Response:
    started = time.perf_counter_ns()
    connection.prepare(call.database, {**call.settings, **_LITERALS_ONLY}, call.query_id)
    rows, size = connection.insert(insert)
    elapsed_ns = time.perf_counter_ns() - started
    return _summarised({"written_rows": rows, "written_bytes": size, "elapsed_ns": elapsed_ns}, headers)


def _whole(connection: Connection, call: Call, permission: Permission, headers: dict[str, str]) -> web.Response:
    started = time.perf_counter_ns()
    connection.prepare(call.database, call.settings, call.query_id)
    connection.tainted |= permission.changes_connection
    whole = connection.query(call.sql, call.output_format, call.params)
    data = whole.data
    if call.lz4 and data:
        headers["Content-Encoding"] = "lz4"
        data = lz4.frame.compress(data)
    return _summarised(summary_of(whole, elapsed_ns=time.perf_counter_ns() - started), headers, data)


def _summarised(figures: dict[str, int], headers: dict[str, str], body: bytes = b"") -> web.Response:
    summary = json.dumps({name: str(figure) for name, figure in figures.items()})
    return web.Response(body=body, headers={**headers, "X-ClickHouse-Summary": summary})


def _first_blocks(connection: Connection, call: Call) -> tuple[Blocks, bytes, bytes | None]:
    connection.prepare(call.database, call.settings, call.query_id)
    blocks = connection.stream(call.sql, call.output_format, call.params)
    first = blocks.next()
    return blocks, first or b"", None if first is None else blocks.next()


async def _stream(
    engine: Engine, request: web.Request, connection: Connection, call: Call, headers: dict[str, str]
) -> web.StreamResponse:
    """Send each block as it comes. An answer of one block is sent whole; an error before the second has its own status.

    A later error follows the blocks as a tagged exception, and the connection is cut, so that nobody takes what came
    for all there is. A reader that takes nothing for READER_STALLED_S is cut off.
    """
    blocks, first, following = await engine.run(_first_blocks, connection, call)
    if following is None:
        return web.Response(body=first, headers=headers)
    tag = token_hex(8)
    response = web.StreamResponse(headers={**headers, "X-ClickHouse-Exception-Tag": tag})
    try:
        await response.prepare(request)
        await _send(response, first)
        while following is not None:
            await _send(response, following)
            following = await engine.run(blocks.next)
        await response.write_eof()
    except ClickHouseError as error:
        await _send(response, exception_block(tag, f"{error.text} (version {engine.version})"))
        _cut(request)
    except (TimeoutError, ConnectionError):  # the reader stalls, or is gone
        _cut(request)
    finally:
        if following is not None:
            await engine.run(blocks.close)
    return response


async def _send(response: web.StreamResponse, block: bytes) -> None:
    async with asyncio.timeout(READER_STALLED_S):
        await response.write(block)


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()
