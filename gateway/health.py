"""/health/live: the process answers. /health/ready: Kafka and ClickHouse answer it, the control data is read.

A pipeline that stands is told there, and does not make a gateway unready: it takes publishes, Kafka keeps them, and a
load balancer that took every gateway away would turn stale reads into lost events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

import orjson
from starlette.responses import Response

from axonstream.gateway.control.log import Control
from axonstream.gateway.http.errors import RETRY_AFTER_S, UnavailableError
from axonstream.gateway.reading.clickhouse_reads import ClickHouseReads
from axonstream.gateway.reading.pipeline_lag import PipelineLag
from axonstream.gateway.reading.pipeline_offsets import PipelineOffsetsError
from axonstream.gateway.routing.request import Request
from axonstream.gateway.shared_look import SharedLook

log = logging.getLogger(__name__)

_PATIENCE_S = 2.0
_NO_ANSWER = f"no answer within {_PATIENCE_S:.0f} s"
_TO_END_S = 0.5  # beyond the patience: connections that hang are closed meanwhile
_JSON = "application/json"


class Health:
    """The handlers of both calls. Neither asks for a key, so neither tells more of a part than whether it answers."""

    def __init__(self, lag: PipelineLag, reads: ClickHouseReads, control: Control) -> None:
        self._control = control
        self._lag = lag
        self._reads = reads
        self._look = SharedLook(self._look_at_parts)
        self._seen: dict[str, str] = {}

    async def live(self, _: Request) -> Response:
        """GET /health/live: 200."""
        return Response(b'{"status":"ok"}', 200, media_type=_JSON)

    async def ready(self, _: Request) -> Response:
        """GET /health/ready: 200, or 503 with each part's state within three seconds; up to a second old.

        200 with the status `degraded` while only the pipeline is not well.
        """
        seen = await self._look.latest(_PATIENCE_S + _TO_END_S)
        parts = {**(seen or {"kafka": _NO_ANSWER, "clickhouse": _NO_ANSWER}), "control_data": self._control.state()}
        pipeline = self._lag.state()
        every = parts | {
            "pipeline": {
                "state": pipeline.state,
                "eventsLagSeconds": _rounded(pipeline.events_lag_s),
                "summariesLagSeconds": _rounded(pipeline.summaries_lag_s),
            }
        }
        if set(parts.values()) == {"ok"}:
            status = "ok" if pipeline.state == "ok" else "degraded"
            return Response(orjson.dumps({"status": status, "parts": every}), 200, media_type=_JSON)
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        return Response(orjson.dumps({"status": "unavailable", "parts": every}), 503, headers, media_type=_JSON)

    async def _look_at_parts(self) -> dict[str, str]:
        kafka, clickhouse = await asyncio.gather(
            self._state("Kafka", self._lag.looked(_PATIENCE_S)), self._state("ClickHouse", self._reads.ping())
        )
        return {"kafka": kafka, "clickhouse": clickhouse}

    async def _state(self, part: str, answer: Awaitable[object]) -> str:
        """Of one part, in words of ours; the cause is logged when the state changes."""
        state, cause = "ok", None
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await answer
        except PipelineOffsetsError as error:
            state, cause = str(error), error.__cause__
        except UnavailableError as error:
            state, cause = f"{part} does not answer", error.__cause__
        except TimeoutError:
            state = _NO_ANSWER
        if state != self._seen.get(part, "ok"):
            log.warning("%s: %s %s", part, state, "" if cause is None else repr(cause))
        self._seen[part] = state
        return state


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
