"""Where the server is."""

from __future__ import annotations

import httpx

from axonstream.errors import ValidationError

LOCAL_URL = "http://127.0.0.1:8080"


def checked_url(base_url: str) -> str:
    """`base_url` itself, if it is one that can be asked; ValidationError otherwise."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise _not_a_url(base_url) from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise _not_a_url(base_url)
    return base_url


def _not_a_url(base_url: str) -> ValidationError:
    return ValidationError(
        f"base_url is not an http(s) address: {base_url!r}", hint=f"The local stack has base_url={LOCAL_URL!r}."
    )
