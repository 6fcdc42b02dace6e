from collections.abc import Sequence
from typing import Any

class BatchBuilder:
    _builder: Any
    _relative_offset: int
    def append(
        self,
        *,
        timestamp: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]] = ...,
    ) -> Any: ...
    def close(self) -> None: ...
    def size(self) -> int: ...
    def record_count(self) -> int: ...

class MessageAccumulator:
    _append_batch: Any
    _pop_batch: Any
    drain_by_nodes: Any
    reenqueue: Any
