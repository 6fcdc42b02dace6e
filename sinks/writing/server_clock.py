"""ClickHouse's clock, told by the clock of the leases: for deadlines that the server itself must hold."""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse_connect.driver.asyncclient import AsyncClient

from axonstream.process.boot_clock import boot_clock


@dataclass(frozen=True, slots=True)
class ServerClock:
    """The server said `server_ms` (ms since 1970) at some time before `answered_at` (s, boot_clock).

    Not promised: anything after somebody has set the server's clock back.
    """

    server_ms: int
    answered_at: float

    def earliest_ms(self, at: float) -> int:
        """What the server's clock shows at `at`, or less by the time that its answer took."""
        return self.server_ms + int((at - self.answered_at) * 1000)


async def read_server_clock(client: AsyncClient) -> ServerClock:
    """Raises clickhouse_connect's errors."""
    found = await client.query("SELECT toUnixTimestamp64Milli(now64(3))", parameters={})
    return ServerClock(found.result_rows[0][0], boot_clock())
