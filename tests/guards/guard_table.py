"""The table of docs/guarantees.md, from the list of guards: `python tests/guards/guard_table.py` writes it anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from guard_removals import ROOT, Removal, read_removals

BEGIN, END = "<!-- guards: written by tests/guards/guard_table.py -->", "<!-- end of guards -->"
DOCUMENT = ROOT / "docs/guarantees.md"


def table(removals: Iterable[Removal]) -> Iterator[str]:
    """The lines of the table, by promise."""
    yield "| | guard | in | the fault is injected by | without the guard |"
    yield "|---|---|---|---|---|"
    for removal in sorted(removals, key=lambda removal: int(removal.promise[1:])):
        test = removal.test.removeprefix("tests/").replace("::", " `").replace("|", "\\|")
        test = f"{test}`" if "`" in test else test
        soak = " (soak)" if removal.soak else ""
        yield f"| {removal.promise} | {removal.guard} | `{removal.file}` | {test}{soak} | {removal.broke} |"


def with_table(text: str, removals: Iterable[Removal]) -> str:
    """`text` with what stands between the two marks replaced."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return "\n".join((before + BEGIN, *table(removals), END)) + after


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(), read_removals()))
