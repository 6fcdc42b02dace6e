"""What was measured: a table on the terminal and benchmarks/results/<name>.json."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import psutil

from benchmarks.measuring.calibration import calibration_us
from benchmarks.measuring.plan import Plan

RESULTS = Path(__file__).parent.parent / "results"
_VERSIONS = ("aiokafka", "chdb-core", "clickhouse-connect", "faust-streaming", "orjson", "pydantic", "uvicorn")


@dataclass(frozen=True, slots=True)
class Measured:
    """One turn of one subject; `wrong` says why it does not count."""

    subject: str
    values: Mapping[str, float]
    calibration_us: float
    wrong: str


@dataclass(frozen=True, slots=True)
class Bound:
    """What had to be reached, and what was; `ratio` is None when a subject has no row that counts."""

    words: str
    ratio: float | None
    reached: bool


@dataclass(slots=True)
class Results:
    """Of one question. Metrics are named with their unit, as `events/s` or `CPU us/event`."""

    name: str
    question: str
    plan: Plan
    configuration: Mapping[str, Any]
    measured: list[Measured] = field(default_factory=list[Measured])
    bounds: list[Bound] = field(default_factory=list[Bound])
    notes: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        print(f"\n== {self.name}: {self.question}")
        print("   " + ", ".join(f"{name}={value}" for name, value in self.configuration.items()), flush=True)

    def add(self, subject: str, values: Mapping[str, float], wrong: str = "") -> None:
        """One turn is over; a progress line goes to the terminal."""
        self.measured.append(Measured(subject, dict(values), calibration_us(), wrong))
        shown = ", ".join(f"{_number(value)} {metric}" for metric, value in values.items())
        print(f"   {subject}: {shown}{f'  DOES NOT COUNT: {wrong}' if wrong else ''}", flush=True)

    def median(self, subject: str, metric: str) -> float | None:
        """Over the turns that count."""
        values = [row.values[metric] for row in self._of(subject) if metric in row.values]
        return median(values) if values else None

    def ratio(self, metric: str, subject: str, peer: str) -> float | None:
        """Of the medians."""
        ours, theirs = self.median(subject, metric), self.median(peer, metric)
        return None if ours is None or not theirs else ours / theirs

    def at_least(self, metric: str, subject: str, peer: str, least: float) -> None:
        """A bound: `subject` has at least `least` times the median of `peer`."""
        found = self.ratio(metric, subject, peer)
        words = f"{subject}: {metric} >= {least:g} x {peer}"
        self.bounds.append(Bound(words, found, found is not None and found >= least))

    def at_most(self, metric: str, subject: str, peer: str, most: float) -> None:
        """A bound: `subject` has at most `most` times the median of `peer`."""
        found = self.ratio(metric, subject, peer)
        words = f"{subject}: {metric} <= {most:g} x {peer}"
        self.bounds.append(Bound(words, found, found is not None and found <= most))

    def below(self, metric: str, subject: str, most: float) -> None:
        """A bound: the median of `subject` is at most `most`."""
        found = self.median(subject, metric)
        words = f"{subject}: {metric} <= {most:g}"
        self.bounds.append(Bound(words, found, found is not None and found <= most))

    def above(self, metric: str, subject: str, least: float) -> None:
        """A bound: the median of `subject` is at least `least`."""
        found = self.median(subject, metric)
        words = f"{subject}: {metric} >= {least:g}"
        self.bounds.append(Bound(words, found, found is not None and found >= least))

    def write(self) -> None:
        """Print the table and write the JSON file."""
        for line in self.table():
            print(line)
        for bound in self.bounds:
            found = "not measured" if bound.ratio is None else f"{bound.ratio:.2f}"
            print(f"   {'reached' if bound.reached else 'MISSED ':7}  {bound.words}: {found}")
        for note in self.notes:
            print(f"   note: {note}")
        RESULTS.mkdir(exist_ok=True)
        file = RESULTS / f"{self.name}{'-quick' if self.plan.quick else ''}.json"
        file.write_bytes(
            orjson.dumps(asdict(self) | {"machine": _machine()}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        )

    def table(self) -> list[str]:
        """One line a subject and metric: min / median / max, and the calibration of its turns."""
        lines = [f"   {'subject':52}{'metric':32}{'min':>11}{'median':>11}{'max':>11}{'loads us':>10}"]
        for subject in dict.fromkeys(row.subject for row in self.measured):
            rows = self._of(subject)
            if not rows:
                lines.append(f"   {subject:52}does not count: {self._why(subject)}")
            for metric in dict.fromkeys(metric for row in rows for metric in row.values):
                values = [row.values[metric] for row in rows if metric in row.values]
                figures = "".join(f"{_number(value):>11}" for value in (min(values), median(values), max(values)))
                calibration = median(row.calibration_us for row in rows)
                lines.append(f"   {subject:52}{metric:32}{figures}{calibration:>10.2f}")
        return lines

    def _of(self, subject: str) -> list[Measured]:
        return [row for row in self.measured if row.subject == subject and not row.wrong]

    def _why(self, subject: str) -> str:
        return next(row.wrong for row in self.measured if row.subject == subject)


def _machine() -> dict[str, Any]:
    return {
        "cores": psutil.cpu_count(),
        "load": psutil.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _VERSIONS},
    }


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
