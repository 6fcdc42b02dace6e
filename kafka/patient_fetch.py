"""How long a broker may hold a fetch that finds nothing: briefly while records come, longer when all is quiet.

A broker answers at once when there is a record, so nothing that is asked for waits. What is not asked for waits for the
fetch under way: a partition whose records are still to be read, or that is paused. So a fetch is held longer only after
QUIET_S without a record, and only when it asks for all partitions of the assignment. An idle worker costs a tenth.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer

QUIET_S = 1.0
PATIENT_MS = 1000


def fetch_patiently(
    consumer: AIOKafkaConsumer,
    clock: Callable[[], float] = monotonic,
    paused: Callable[[], AbstractSet[tuple[str, int]]] = frozenset[tuple[str, int]],
) -> None:
    """From now on, of this consumer; its own `fetch_max_wait_ms` is that of a busy time.

    `paused` are the partitions that nobody reads now. What aiokafka holds of them is not taken, so it asks for no more,
    and nothing waits for it: those of a changelog, once it is read. Call this after the consumer's start.
    """
    fetcher: Any = consumer._fetcher
    answered = fetcher._proc_fetch_request
    busy_ms: int = fetcher._fetch_max_wait_ms
    last_record = clock()
    paused_before: AbstractSet[tuple[str, int]] = frozenset()

    async def proc_fetch_request(assignment: Any, node_id: int, request: Any) -> bool:
        nonlocal last_record, paused_before
        found: bool = await answered(assignment, node_id, request)
        # The next fetch is made after this, so the first one after a record is a quick one.
        now = clock()
        asked = {(topic, at[0]) for topic, partitions in request.topics for at in partitions}
        paused_now = frozenset(paused())
        if found or assignment.tps - asked - paused_now or paused_now != paused_before:
            last_record = now
        paused_before = paused_now
        fetcher._fetch_max_wait_ms = PATIENT_MS if now - last_record >= QUIET_S else busy_ms
        return found

    fetcher._proc_fetch_request = proc_fetch_request
