"""Which query parameters a route takes; any other is refused with the nearest name that it takes.

What is not looked at would leave a list unfiltered, and a script that counts pages by a name of its own would never
end. Some that the public clients send are taken although this server does not filter by them: the answer's header
X-Axonstream-Ignored names those.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from difflib import get_close_matches
from typing import TypeVar
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from axonstream.gateway.http.errors import RefusedError

IGNORED = "X-Axonstream-Ignored"
_MOST_SHOWN = 64  # characters of a name
_NEAR = 0.6  # of 1, by difflib

Answer = TypeVar("Answer")


def takes(
    handler: Callable[[Request], Awaitable[Answer]], *names: str, ignored: Collection[str] = ()
) -> Callable[[Request], Awaitable[Answer]]:
    """`handler`, for requests whose query has no names but these. `ignored` are of public clients, and do nothing."""

    async def handle(request: Request) -> Answer:
        given = request.query_params.keys()
        if not given:
            return await handler(request)
        refuse_unknown([name for name in given if name not in ignored], names)
        answer = await handler(request)
        if isinstance(answer, Response) and (left_out := [name for name in given if name in ignored]):
            answer.headers[IGNORED] = ", ".join(left_out)
        return answer

    return handle


def refuse_query(query: bytes) -> None:
    """For a call that takes no parameters. Raises RefusedError 400 unless `query` is empty of them."""
    refuse_unknown([name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)], ())


def refuse_unknown(given: Collection[str], names: Collection[str]) -> None:
    """Raises RefusedError 400 for the first of `given` that is not in `names`."""
    for name in given:
        if name in names:
            continue
        plain = {_plain(one): one for one in names}
        near = get_close_matches(_plain(name), plain, 1, _NEAR)
        meant = f"; did you mean {plain[near[0]]}?" if near else ""
        taken = f"This call takes {', '.join(names)}." if names else "This call takes no query parameters."
        shown = name[:_MOST_SHOWN].encode("utf-8", "replace").decode()
        raise RefusedError(400, f"unknown parameter {shown}{meant}", f"Correct it, or leave it out. {taken}")


def _plain(name: str) -> str:
    return name[:_MOST_SHOWN].lower().replace("_", "").replace("-", "")
