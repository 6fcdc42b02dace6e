"""Which query parameters a route takes; any other is refused with the nearest name that it takes.

What is not looked at would leave a list unfiltered, and a script that counts pages by a name of its own would never
end. Some that the public clients send are taken although this server does not filter by them: the answer's header
X-Axonstream-Ignored names those.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from urllib.parse import parse_qsl

from axonstream.gateway.http.errors import RefusedError

IGNORED = "X-Axonstream-Ignored"
_MOST_SHOWN = 64  # characters of a name
_NEAR = 0.6  # of 1, by difflib


def check_query(query: bytes, names: Collection[str], ignored: Collection[str] = ()) -> list[str]:
    """The parameters of `query` that do nothing, once it is sure that it has no others than `names` and those.

    Raises RefusedError 400.
    """
    given = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    refuse_unknown([name for name in given if name not in ignored], names)
    return [name for name in given if name in ignored]


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
