"""A request to a server in memory, and why it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx


class RefusedError(Exception):
    """The request cannot be done; what the answer says."""

    def __init__(self, status: int, message: str | list[str], hint: str, **details: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.hint, self.details = status, message, hint, details


class Asked(NamedTuple):
    """A request whose key was found. `path` are the parts of its path that name something."""

    request: httpx.Request
    tenant_id: str
    path: Sequence[str]

    @property
    def query(self) -> httpx.QueryParams:
        return self.request.url.params
