"""The lowest versions that pyproject.toml allows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
_REQUIREMENT = re.compile(r"(?P<name>[a-z0-9.-]+) *(?:>=|==)(?P<lowest>[0-9.]+)(?:,<[0-9.]+)?(?P<marker>;.+)?")


def lowest_versions(extra: str) -> list[str]:
    """`name==version` of each direct requirement of the package with one extra, or with none (""). ValueError where a
    requirement names no lowest version.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted: list[str] = [*project["dependencies"]]
    waiting = [extra] if extra else []
    while waiting:
        for one in project["optional-dependencies"][waiting.pop()]:
            own = re.fullmatch(r"axonstream\[(.+)\]", one)
            if own:
                waiting += own[1].split(",")
            else:
                wanted.append(one)
    return sorted({_lowest(one) for one in wanted})


def _lowest(requirement: str) -> str:
    said = _REQUIREMENT.fullmatch(requirement)
    if said is None:
        raise ValueError(f"{requirement} has no lowest version that this can read")
    return f"{said['name']}=={said['lowest']}{said['marker'] or ''}"
