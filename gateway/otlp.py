"""POST /v1/traces: not taken yet, and said so, so that no span is thought to be stored."""

from __future__ import annotations

from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.http.errors import RefusedError
from axonstream.gateway.routing.request import Answer, Request
from axonstream.gateway.routing.route import Route


async def traces(_: Request) -> Answer:
    """501 for a key that may publish."""
    raise RefusedError(
        501,
        "OTLP traces are not taken by this server yet; nothing was stored",
        "Publish events with POST /event or POST /events.",
    )


OTLP_ROUTES = [Route("POST", "/v1/traces", traces, KeyScope.INGEST, bearer=True)]
"""Exporters send the key as `Authorization: Bearer`."""
