"""What the supervisor of a local stack says of the pipeline: a line when it stands, and one when it moves again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

EVERY_S = 10.0
_PATIENCE_S = 5.0


async def watch_pipeline(gateway_url: Callable[[], str], say: Callable[[str], None]) -> None:
    """Asks /health/ready until it is cancelled. A gateway that does not answer, or does not know, changes nothing."""
    said = "ok"
    # The stack's own gateway is called directly, whatever proxy the environment names, and by its own certificate.
    async with httpx.AsyncClient(timeout=_PATIENCE_S, trust_env=False, verify=False) as client:  # noqa: S501 # loopback
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                answer = await client.get(f"{gateway_url()}/health/ready")
                pipeline: dict[str, Any] = answer.json()["parts"]["pipeline"]
            except (httpx.HTTPError, ValueError, KeyError):
                continue
            state = str(pipeline["state"])
            if state == said or pipeline["eventsLagSeconds"] is None:
                continue
            said = state
            lags = f"events {pipeline['eventsLagSeconds']} s, summaries {pipeline['summariesLagSeconds']} s behind"
            say("the pipeline is well again" if state == "ok" else f"WARNING: the pipeline {state}; {lags}")
