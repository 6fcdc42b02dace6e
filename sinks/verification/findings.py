"""What a verification found, in a form that a program and a person can read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """Every way in which the stored data can differ from the log; each is a defect or a loss."""

    LOST = "lost"  # the log has the record, the sink has committed past it, no table has it
    TWICE = "twice"  # more than one row of events_log has this place, or it has a row and its dead letter was replayed
    BOTH = "both"  # a row of events_log and a dead letter have this place, and nobody has decided on the letter
    DIFFERENT = "different"  # the row or dead letter of a place is not of the record that the log has there
    AHEAD = "ahead"  # committed or stored beyond the end of the log
    UNCOVERED = "uncovered"  # the watermark says that this event is in a stored summary, and it is in none
    RETURNED = "returned"  # rows of a trace whose deletion was finished are there
    SUMMARY = "summary"  # a summary that calls itself exact is not the recomputation from its events


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference: `where` names a place or a trace's segment, `what` says what is and what should be."""

    kind: Kind
    where: str
    what: str


@dataclass
class Verification:
    """What was looked at, and what differs.

    `events` and `dead_letters` count places, `compared` the records of the log whose row or letter was looked into,
    `summaries` the segments that were compared; `inexact` are those that do not claim to be exact (reads recompute
    them), `expired` those whose events retention has deleted, `pending` the records of the log that the sink has not
    committed yet, `behind` those that the stored watermark has not reached. `deletions` are those that are remembered,
    `deleting` those of them that ClickHouse has not finished, `deleted` the records of the log that are stored nowhere
    for that reason. At most `most` findings are kept, all are counted.
    """

    most: int = 1000
    events: int = 0
    dead_letters: int = 0
    compared: int = 0
    summaries: int = 0
    inexact: int = 0
    expired: int = 0
    pending: int = 0
    behind: int = 0
    deletions: int = 0
    deleting: int = 0
    deleted: int = 0
    counts: Counter[Kind] = field(default_factory=Counter[Kind])
    findings: list[Finding] = field(default_factory=list[Finding])

    def add(self, finding: Finding, times: int = 1) -> None:
        """Count `times` differences that `finding` describes."""
        self.counts[finding.kind] += times
        if len(self.findings) < self.most:
            self.findings.append(finding)

    @property
    def clean(self) -> bool:
        return not self.counts.total()
