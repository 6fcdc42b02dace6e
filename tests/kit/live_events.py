"""Reading live streams as a client without any help does: plain httpx, the frames taken apart by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import orjson

from kit.running_stack import HEADERS

PATIENCE_S = 60.0


class Received(NamedTuple):
    """One event of a stream; `data` is parsed, `position` is the last event id after it."""

    event: str
    position: str
    data: Any


class LiveResponse:
    """An open stream. `position` is the last event id so far, `comments` counts comment lines."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.position = response.headers.get("x-axonstream-position", "")
        self.comments = 0
        self._lines: AsyncIterator[str] = _lines_of(response.aiter_raw())
        self._fields: dict[str, list[str]] = {}

    async def next(self, patience_s: float = PATIENCE_S) -> Received:
        """The next event; EOFError when the stream has ended, TimeoutError when none comes."""
        async with asyncio.timeout(patience_s):
            async for line in self._lines:
                if (received := self._line(line)) is not None:
                    return received
        raise EOFError("the stream has ended")

    async def take(self, number: int, patience_s: float = PATIENCE_S) -> list[Received]:
        """So many events."""
        return [await self.next(patience_s) for _ in range(number)]

    async def comment(self) -> None:
        """Read on until a comment has come."""
        before = self.comments
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                self._line(line)
                if self.comments > before:
                    return

    def _line(self, line: str) -> Received | None:
        if line.startswith(":"):
            self.comments += 1
        elif line:
            name, _, value = line.partition(": ")
            self._fields.setdefault(name, []).append(value)
        else:
            fields, self._fields = self._fields, {}
            self.position = fields.get("id", [self.position])[-1]
            if "data" in fields:
                data = orjson.loads("\n".join(fields["data"]))
                return Received(fields.get("event", ["message"])[-1], self.position, data)
        return None


@asynccontextmanager
async def live(
    client: httpx.AsyncClient, url: str, since: str | None = None, headers: Mapping[str, str] = HEADERS
) -> AsyncGenerator[LiveResponse]:
    """The stream of `url`, from `since` on where it is given; its headers have come."""
    resumed = {} if since is None else {"Last-Event-ID": since}
    async with client.stream("GET", url, headers={**headers, **resumed}) as response:
        if response.status_code != 200:
            await response.aread()
            raise AssertionError(f"{response.status_code}: {response.text}")
        yield LiveResponse(response)


async def _lines_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Lines end with LF alone: this server sends nothing else."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode()
