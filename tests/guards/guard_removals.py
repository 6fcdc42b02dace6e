"""Every guard of a promise, the edit that removes it, and the test that then fails; the list is guards.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

ROOT = Path(__file__).parent.parent.parent
GUARDS = Path(__file__).with_name("guards.toml")


class Removal(BaseModel):
    """`old` stands once in `file`; with `new` in its place, `test` (a pytest id) fails, and `broke` says how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    guard: str
    promise: str
    file: str
    old: str
    new: str
    test: str
    broke: str
    soak: bool = False

    def apply(self, root: Path) -> None:
        """Remove the guard in the tree at `root`. Raises ValueError when the list no longer fits the code."""
        path = root / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.guard}: its text stands {text.count(self.old)} times in {self.file}, not once")
        path.write_text(text.replace(self.old, self.new))


def read_removals() -> list[Removal]:
    """In the order of the file."""
    return [Removal(**entry) for entry in tomllib.loads(GUARDS.read_text())["removal"]]
