"""What is shown of a webhook's URL where its path and query may be a secret."""

from __future__ import annotations

import re

_SHOWN = re.compile(r"[a-zA-Z]+://(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z._-]+)(:[0-9]+)?")


def shown_url(url: str) -> str:
    """Scheme, host and port, and /... for what follows."""
    match = _SHOWN.match(url)
    if match is None:
        return "..."
    if url[match.end() :] in ("", "/"):
        return url
    if "@" in url[match.end() :].partition("/")[0]:
        return "..."  # of a version that took more: what stands first may be a user
    return f"{match[0]}/..."
