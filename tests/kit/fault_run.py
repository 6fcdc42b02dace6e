"""A fault under load, from the first publish to the judgement: the same for every kind of fault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic

from kit.oracle import judge
from kit.publishing_load import PAUSE_IN_A_SOAK_S, PAUSE_S, PublishingLoad
from kit.running_stack import RunningStack
from kit.soak_report import SoakReport

HEALS_WITHIN_S = 90.0
GAIN = 15  # events that every trace must gain before, between and after the injections

Injection = Callable[[PublishingLoad], Awaitable[None]]


async def hurt_under_load(
    fault: str,
    times: int,
    inject: Injection,
    stack: RunningStack,
    report: SoakReport,
    *,
    http: int = 4,
    direct: int = 1,
    readers: int = 1,
) -> PublishingLoad:
    """Publish and read, inject, see that publishing goes on and that all heals, then judge everything that is stored.

    Fails when something acknowledged is lost, something is doubled, a summary differs, a read went back or lacked what
    was acknowledged before it, an answer was not what it must be, or anything did not heal in time.
    """
    began = monotonic()
    pause_s = PAUSE_IN_A_SOAK_S if report.directory else PAUSE_S
    load = PublishingLoad(stack.urls, stack.settings, pause_s=pause_s)
    restarts_before = len(stack.restarts)
    async with load.running(http=http, direct=direct, readers=readers):
        await load.until_every_trace_gains(GAIN, HEALS_WITHIN_S)
        for _ in range(times):
            await inject(load)
            await load.until_every_trace_gains(GAIN, HEALS_WITHIN_S)
    await load.check_every_trace(HEALS_WITHIN_S)
    judgement = await judge(stack.settings, acknowledged=load.acknowledged, unknown=load.unknown)
    restarts = "; ".join(stack.restarts[restarts_before:]) or "none"
    note = (
        f"{load.statuses[503]} answers 503, slowest answer {load.slowest_answer_s:.1f} s, "
        f"{load.reads} fresh reads and {load.reads_put_off} put off; restarts: {restarts}"
    )
    report.add(judgement.row(fault, times, monotonic() - began, note))
    judgement.must_be_clean()
    assert not load.problems, load.problems[:20]
    return load
