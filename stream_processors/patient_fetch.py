"""How long a broker may hold a fetch that finds nothing: briefly while records come, longer when all is quiet.

A broker answers at once when there is a record, so nothing that is asked for waits. What is not asked for waits for the
fetch under way: a partition whose records are still to be read, or that is paused. So a fetch is held longer only after
QUIET_S without a record, and only when it asks for all partitions of the assignment. An idle worker costs a tenth.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer

QUIET_S = 1.0
PATIENT_MS = 1000


def fetch_patiently(consumer: AIOKafkaConsumer, clock: Callable[[], float] = monotonic) -> None:
    """From now on, of this consumer; its own `fetch_max_wait_ms` is that of a busy time.

    Call it after the consumer's start.
    """
    fetcher: Any = consumer._fetcher
    answered = fetcher._proc_fetch_request
    busy_ms: int = fetcher._fetch_max_wait_ms
    last_record = clock()

    async def proc_fetch_request(assignment: Any, node_id: int, request: Any) -> bool:
        nonlocal last_record
        found: bool = await answered(assignment, node_id, request)
        # The next fetch is made after this, so the first one after a record is a quick one.
        now = clock()
        asked = sum(len(partitions) for _, partitions in request.topics)
        if found or asked < len(assignment.tps):
            last_record = now
        fetcher._fetch_max_wait_ms = PATIENT_MS if now - last_record >= QUIET_S else busy_ms
        return found

    fetcher._proc_fetch_request = proc_fetch_request
