"""/health/live: the process answers. /health/ready: Kafka and ClickHouse answer it, the control data is read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.control.log import Control
from gateway.errors import RETRY_AFTER_S, UnavailableError
from gateway.reading.clickhouse_reads import ClickHouseReads
from gateway.reading.pipeline_offsets import PipelineOffsets, PipelineOffsetsError

_PATIENCE_S = 2.0
_JSON = "application/json"


class Health:
    """The handlers of both calls; neither asks for a key."""

    def __init__(self, offsets: PipelineOffsets, reads: ClickHouseReads, control: Control) -> None:
        self._control = control
        self._offsets = offsets
        self._reads = reads

    async def live(self, _: Request) -> Response:
        """GET /health/live: 200."""
        return Response(b'{"status":"ok"}', 200, media_type=_JSON)

    async def ready(self, _: Request) -> Response:
        """GET /health/ready: 200, or 503 with each part's state within two seconds."""
        kafka, clickhouse = await asyncio.gather(_state(self._offsets.ends()), _state(self._reads.ping()))
        parts = {"kafka": kafka, "clickhouse": clickhouse, "control_data": self._control.state()}
        if set(parts.values()) == {"ok"}:
            return Response(orjson.dumps({"status": "ok", "parts": parts}), 200, media_type=_JSON)
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        return Response(orjson.dumps({"status": "unavailable", "parts": parts}), 503, headers, media_type=_JSON)


async def _state(answer: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await answer
    except (PipelineOffsetsError, UnavailableError) as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {_PATIENCE_S:.0f} s"
    return "ok"
