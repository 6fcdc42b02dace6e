from enum import IntEnum
from typing import Any

class CloseReason(IntEnum):
    CONNECTION_BROKEN = 0

class AIOKafkaConnection:
    host: str
    port: int
    send: Any
    _send_sasl_token: Any
    def close(self, reason: Any = None, exc: BaseException | None = None) -> Any: ...
    def connected(self) -> bool: ...

async def create_conn(host: str, port: int, **options: Any) -> AIOKafkaConnection: ...
