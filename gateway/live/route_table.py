"""The routes of the live streams."""

from __future__ import annotations

from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.live.filter import PARAMETERS
from axonstream.gateway.live.tail import LiveTail
from axonstream.gateway.routing.route import Route


def live_routes(live: LiveTail) -> list[Route]:
    """Of a trace, of all of a tenant, and of a channel."""
    handlers = {
        "/traces/{trace_id*}/live": live.trace,
        "/live": live.tenant,
        "/channel/{channel_id}/subscribe": live.channel,
        "/channel/{channel_id}/{identifier*}/subscribe": live.channel,
    }
    return [Route("GET", path, handler, KeyScope.READ, PARAMETERS) for path, handler in handlers.items()]
