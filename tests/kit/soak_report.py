"""What a run of the fault tests injected and what it found, as a table for a person and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

_NUMBERS = ("injected", "acknowledged", "stored", "dead_letters", "lost", "twice", "differing", "seconds")


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One kind of fault. `differing` counts summaries that are not the recomputation from the stored events, and
    rows that are not the record of their place."""

    fault: str
    injected: int
    acknowledged: int
    stored: int
    dead_letters: int = 0
    lost: int = 0
    twice: int = 0
    differing: int = 0
    seconds: int = 0
    note: str = ""


@dataclass
class SoakReport:
    """Rows in the order in which the tests ended; `left_out` names what this machine could not inject, and why;
    `measured` has figures beside the rows.

    With a `directory` it is written after each row, so that a run that is cut has what it found.
    """

    directory: Path | None = None
    rows: list[FaultRow] = field(default_factory=list[FaultRow])
    left_out: list[str] = field(default_factory=list[str])
    measured: list[str] = field(default_factory=list[str])

    def add(self, row: FaultRow) -> None:
        self.rows.append(row)
        self.write()

    def lines(self) -> Iterator[str]:
        """The table; the last line is the sum."""
        names = ("fault", *_NUMBERS)
        sums = {name: sum(getattr(row, name) for row in self.rows) for name in _NUMBERS}
        cells = [names, *([row.fault, *(str(getattr(row, name)) for name in _NUMBERS)] for row in self.rows)]
        cells.append(["all", *(str(sums[name]) for name in _NUMBERS)])
        widths = [max(len(row[at]) for row in cells) for at in range(len(names))]
        for row, note in zip(cells, ["note", *(row.note for row in self.rows), ""], strict=True):
            numbers = "  ".join(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
            yield f"{row[0].ljust(widths[0])}  {numbers}  {note}".rstrip()
        yield from (f"measured: {figure}" for figure in self.measured)
        yield from (f"left out on this machine: {reason}" for reason in self.left_out)

    def write(self) -> None:
        """`report.txt` and `report.json`, where there is a directory."""
        if self.directory is None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "report.txt").write_text("\n".join(self.lines()) + "\n")
        document = {"rows": [asdict(row) for row in self.rows], "left_out": self.left_out, "measured": self.measured}
        (self.directory / "report.json").write_text(json.dumps(document, indent=2) + "\n")
