"""The table of routes: a row says which calls it is for, who may make them, what answers them, and by which path.

Each package of the gateway exports its rows, and `app.py` puts them together. The dispatcher does the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.http.errors import RefusedError
from axonstream.gateway.http.request_counts import UNKNOWN_ROUTE
from axonstream.gateway.routing.request import Answer, Handler, Request

_PART = re.compile(r"\{(\w+)(\*?)\}")
_ANYTHING = "(?s:.+)"  # what was percent-encoded may be "/" or a line feed
_NO_SLASH = "[^/]+"


class Route(NamedTuple):
    """One row.

    `path` names its variable parts: `{name}` has no slash, `{name*}` may have some.
    `scope` is what the key has to allow. None asks for no key.
    `takes` are the query parameters, None for any. Those that are `ignored` are taken, and do nothing.

    `fast`: the call is answered on the fast path, past ASGI's messages. Its path has no variable parts. It is counted
    by its status and not timed, and every usual status is shown from the start.
    `pages`: a web page may make the call with a public token (CORS).
    `bearer`: the key may also come as `Authorization: Bearer`.
    """

    method: str
    path: str
    handler: Handler
    scope: KeyScope | None = None
    takes: Sequence[str] | None = ()
    ignored: Sequence[str] = ()
    fast: bool = False
    pages: bool = False
    bearer: bool = False


class Found(NamedTuple):
    """The row for a request, and the variable parts of its path. `label` is what the request is counted by."""

    route: Route
    path_params: Mapping[str, str]
    label: str


class RouteTable:
    """All rows. Paths with more parts are looked at first: `{name*}` at the end of a shorter one would take theirs."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._paths: dict[str, tuple[re.Pattern[str], dict[str, Route]]] = {}
        for route in sorted(routes, key=lambda route: -route.path.count("/")):
            _, by_method = self._paths.setdefault(route.path, (_pattern(route.path), {}))
            by_method[route.method] = route
            if route.method == "GET":
                by_method["HEAD"] = route

    @property
    def labels(self) -> set[str]:
        """The paths, as /openapi.json writes them."""
        return {label(path) for path in self._paths}

    def find(self, method: str, path: str) -> Found:
        """The row of a request. Where there is none, a row that answers 404, or 405 with the header Allow."""
        other: tuple[str, Mapping[str, Route]] | None = None
        for template, (pattern, by_method) in self._paths.items():
            if (match := pattern.fullmatch(path)) is None:
                continue
            if (route := by_method.get(method)) is not None:
                return Found(route, match.groupdict(), label(template))
            other = other or (template, by_method)
        if other is None:
            return Found(_UNKNOWN, {}, UNKNOWN_ROUTE)
        return Found(Route(method, other[0], _not_allowed(other[1]), takes=None), {}, label(other[0]))


def label(path: str) -> str:
    """A row's path as /openapi.json writes it."""
    return path.replace("*}", "}")


def _pattern(path: str) -> re.Pattern[str]:
    at, regex = 0, ""
    for part in _PART.finditer(path):
        regex += re.escape(path[at : part.start()]) + f"(?P<{part[1]}>{_ANYTHING if part[2] else _NO_SLASH})"
        at = part.end()
    return re.compile(regex + re.escape(path[at:]))


async def _unknown(_: Request) -> Answer:
    raise RefusedError(404, "Not Found", "The calls that this server answers are listed at /openapi.json.")


_UNKNOWN = Route("", "", _unknown, takes=None)


def _not_allowed(methods: Mapping[str, Route]) -> Handler:
    async def refuse(_: Request) -> Answer:
        hint = "The header Allow names the methods that this path answers."
        error = RefusedError(405, "Method Not Allowed", hint)
        error.headers = {"Allow": ", ".join(sorted(methods.keys() - {"OPTIONS"}))}  # which browsers alone ask with
        raise error

    return refuse
