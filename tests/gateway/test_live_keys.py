"""A live stream ends when its key is no longer good, and not before."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from pydantic import SecretStr

from axonstream.gateway.control.api_keys import make_key, revocation
from axonstream.gateway.control.credentials import KeyScope
from axonstream.gateway.control.data import ControlData
from axonstream.gateway.control.log import ControlLog
from kit.audit_entries import an_entry
from kit.live_events import live
from kit.live_gateways import live_gateways

pytestmark = pytest.mark.services


def test_a_stream_ends_when_its_key_is_revoked_or_expires(kafka_bootstrap: str) -> None:
    secret = "a secret of this test"

    async def scenario() -> None:
        control = ControlLog(gateways.settings, ControlData(secret.encode()))
        await control.start()
        now = time.time_ns() // 1_000_000
        kept, revoked, expiring = (
            make_key(
                control.data, secret.encode(), tenant_id="1", name="k", creator="c",
                scopes=[KeyScope.READ], public=False, now_ms=now, expires_at=expires,
            )
            for expires in (None, None, now + 8000)
        )  # fmt: skip
        try:
            await control.write([kept.record, revoked.record, expiring.record], an_entry())
            async with httpx.AsyncClient(base_url=gateways.urls[0], timeout=60) as client:
                headers = [{"X-API-Key": key.key, "x-tenant-id": "1"} for key in (kept, revoked, expiring)]
                async with (
                    live(client, "/live", headers=headers[0]) as stays,
                    live(client, "/live", headers=headers[1]) as ends,
                    live(client, "/live", headers=headers[2]) as expires,
                ):
                    await control.write(revocation("1", revoked.kept.id), an_entry())
                    for stream in (ends, expires):
                        with pytest.raises(EOFError):
                            await stream.next(20)
                    await stays.comment()
                    answer = await client.get("/live", headers=headers[1])
                    assert answer.status_code == 401
        finally:
            await control.stop()

    with live_gateways(kafka_bootstrap, server_secret=SecretStr(secret)) as gateways:
        asyncio.run(scenario())
