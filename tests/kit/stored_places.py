"""The part of the oracle that needs no processor: every record is stored once, or a dead letter."""

from __future__ import annotations

import asyncio
from collections import Counter
from time import monotonic

from axonstream.settings.settings import Settings
from axonstream.sinks.verification import Kind, Verification, verify
from kit.oracle import SETTLES_WITHIN_S, Judgement

OF_THE_PROCESSOR = {Kind.SUMMARY, Kind.UNCOVERED}


async def all_stored(settings: Settings, within_s: float = SETTLES_WITHIN_S) -> Verification:
    """Wait until the whole log is stored and committed; what is wrong with it."""
    deadline = monotonic() + within_s
    while (found := await verify(settings)).pending:
        assert monotonic() < deadline, f"{found.pending} records are not stored after {within_s:.0f} s"
        await asyncio.sleep(0.1)
    return found


async def must_be_stored_once(settings: Settings, within_s: float = SETTLES_WITHIN_S) -> Judgement:
    """Wait until the whole log is stored and committed, and fail unless each record has one place."""
    found = await all_stored(settings, within_s)
    findings = [finding for finding in found.findings if finding.kind not in OF_THE_PROCESSOR]
    kinds = Counter(finding.kind for finding in findings)
    judgement = Judgement(
        acknowledged=found.events + found.dead_letters,
        stored=found.events,
        dead_letters=found.dead_letters,
        lost=kinds[Kind.LOST],
        twice=kinds[Kind.TWICE] + kinds[Kind.BOTH],
        differing=0,
        findings=findings,
    )
    judgement.must_be_clean()
    return judgement
