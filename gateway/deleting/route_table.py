"""The routes of deleting."""

from __future__ import annotations

from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.deleting.routes import DELETE_TRACE, DELETE_TRACES, Deleting
from axonstream.gateway.routing.route import Route


def deleting_routes(deleting: Deleting) -> list[Route]:
    """One trace, and those of a session, a user or a tenant."""
    return [
        Route("DELETE", "/traces", deleting.traces, KeyScope.ADMIN, DELETE_TRACES),
        Route("DELETE", "/traces/{trace_id*}", deleting.trace, KeyScope.ADMIN, DELETE_TRACE),
    ]
