"""The routes of publishing."""

from __future__ import annotations

from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.publishing.ingest import Ingest
from axonstream.gateway.routing.browser_pages import BrowserPages
from axonstream.gateway.routing.route import Route


def publishing_routes(ingest: Ingest, pages: BrowserPages) -> list[Route]:
    """Both publishing calls, and what a browser asks before a page makes them."""
    return [
        Route("POST", "/event", ingest.publish, KeyScope.INGEST, fast=True, pages=True),
        Route("POST", "/events", ingest.publish_many, KeyScope.INGEST, fast=True, pages=True),
        Route("OPTIONS", "/event", pages.preflight, takes=None),
        Route("OPTIONS", "/events", pages.preflight, takes=None),
    ]
