"""The gateway's application in this process, on real servers: nothing listens, its parts are started and stopped."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from pydantic import SecretStr

from axonstream.gateway.app import create_app
from axonstream.settings.settings import Settings


@asynccontextmanager
async def gateway_in_process(
    settings: Settings, *, connected: bool = True, **changes: Any
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a gateway that is connected, unless it need not be, with a key of tenant 1 and one of tenant 2."""
    keys: dict[str, Any] = {"api_keys": SecretStr("ak_local=1,ak_other=2")}
    app = create_app(settings.model_copy(update=keys | changes))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        if connected:
            await app.connected.wait()
        yield client
