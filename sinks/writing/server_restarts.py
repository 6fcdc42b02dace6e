"""A ClickHouse that was restarted may have lost what it had not written to the disk: then the sink compares again."""

from __future__ import annotations

import asyncio
import logging

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.sinks.membership.assignment import Assignment
from axonstream.sinks.writing.table_writer import CLICKHOUSE_ERRORS

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
_ROUNDING_S = 2  # the server tells whole seconds


class ServerLives:
    """Since when each server runs, by its own clock. Behind a load balancer there may be several."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}

    def is_new_life(self, server: str, since: int) -> bool:
        """Whether a server that was known has been started anew. A clock set forward looks like it: no harm done."""
        known = self._since.get(server)
        self._since[server] = since
        return known is not None and since > known + _ROUNDING_S

    async def look(self, client: AsyncClient) -> bool:
        """`is_new_life` of the server that answers. Raises clickhouse_connect's errors."""
        found = await client.query("SELECT hostName(), toInt64(toUnixTimestamp(now()) - uptime())")
        server, since = found.result_rows[0]
        return self.is_new_life(server, since)


async def watch_restarts(client: AsyncClient, lives: ServerLives, assignment: Assignment) -> None:
    """Begin the ownership again after each restart. `lives` has looked once, before the first ownership began."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        ownership = await assignment.ownership()
        try:
            restarted = await lives.look(client)
        except CLICKHOUSE_ERRORS:
            continue  # the flows say that it does not answer
        if restarted:
            log.warning("ClickHouse was restarted: comparing what it has with the log")
            await assignment.again(ownership)
