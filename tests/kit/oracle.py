"""One judgement for every fault: what was acknowledged is stored once, and every summary equals its events."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from time import monotonic

from axonstream.clickhouse.client import connect
from axonstream.settings.settings import Settings
from axonstream.sinks.verification import Finding, Kind, Verification, verify
from kit.soak_report import FaultRow

SETTLES_WITHIN_S = 90.0


@dataclass(frozen=True)
class Judgement:
    """`stored` and `dead_letters` count places; `lost`, `twice` and `differing` must be 0."""

    acknowledged: int
    stored: int
    dead_letters: int
    lost: int
    twice: int
    differing: int
    findings: list[Finding]

    def must_be_clean(self) -> None:
        """Fails the test with the first findings."""
        wrong = (self.lost, self.twice, self.differing)
        assert wrong == (0, 0, 0), f"lost, twice, differing: {wrong}\n" + "\n".join(map(str, self.findings[:20]))
        assert not self.findings, self.findings[:20]

    def row(self, fault: str, injected: int, seconds: float = 0, note: str = "") -> FaultRow:
        """This judgement as a row of the soak's report."""
        return FaultRow(
            fault,
            injected,
            acknowledged=self.acknowledged,
            stored=self.stored,
            dead_letters=self.dead_letters,
            lost=self.lost,
            twice=self.twice,
            differing=self.differing,
            seconds=round(seconds),
            note=note,
        )


async def judge(
    settings: Settings,
    *,
    acknowledged: Collection[str],
    unknown: Collection[str] = (),
    settles_within_s: float = SETTLES_WITHIN_S,
    deep: bool = False,
) -> Judgement:
    """Wait until the pipeline has stored the whole log, then compare.

    `acknowledged` are the dedup keys of the events whose publish was acknowledged, `unknown` of those whose publish
    raised: these may be stored once, or not. Keys must be unique in the installation, and no event may be stored that
    has neither; a key of more than one event in the view `events` is counted in `twice`. With `deep` every row is
    compared with its record; rows and letters of other records are counted in `differing`.
    """
    result = await settled(settings, settles_within_s)
    if deep:
        result = await verify(settings, deep=True)
    stored = Counter(await _dedup_keys(settings))
    known = set(acknowledged)
    strangers = stored.keys() - known - set(unknown) - {""}
    findings = list(result.findings)
    findings += [Finding(Kind.LOST, key, "acknowledged, and not stored") for key in sorted(known - stored.keys())]
    findings += [Finding(Kind.TWICE, key, "shows more than once") for key, count in stored.items() if key and count > 1]
    findings += [Finding(Kind.LOST, key, "stored, and never published") for key in sorted(strangers)]
    counts = Counter(finding.kind for finding in findings)
    return Judgement(
        acknowledged=len(known),
        stored=result.events,
        dead_letters=result.dead_letters,
        lost=counts[Kind.LOST],
        twice=counts[Kind.TWICE] + counts[Kind.BOTH],
        differing=counts[Kind.SUMMARY] + counts[Kind.UNCOVERED] + counts[Kind.DIFFERENT],
        findings=findings,
    )


async def settled(settings: Settings, within_s: float) -> Verification:
    """The verification once the whole log is stored and folded."""
    deadline = monotonic() + within_s
    while True:
        result = await verify(settings)
        if not (result.pending or result.behind) or monotonic() > deadline:
            assert not result.pending, f"{result.pending} records are not stored after {within_s:.0f} s"
            assert not result.behind, f"{result.behind} events are in no summary after {within_s:.0f} s"
            return result
        await asyncio.sleep(0.2)


async def _dedup_keys(settings: Settings) -> list[str]:
    client = await connect(settings)
    try:
        return [row[0] for row in (await client.query("SELECT dedup_key FROM events")).result_rows]
    finally:
        await client.close()
