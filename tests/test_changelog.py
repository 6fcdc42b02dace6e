"""CHANGELOG.md: in the order of the versions, and with what is not released yet on top."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from axonstream.version import VERSION

HEADS = re.findall(
    r"^## (.+)$", (Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE
)
RELEASED = re.compile(r"(\d+)\.(\d+)\.(\d+) - (\d{4}-\d\d-\d\d)")


def test_what_is_not_released_comes_first_and_each_version_has_its_day() -> None:
    assert HEADS[0] == "Unreleased"
    versions: list[tuple[int, ...]] = []
    for head in HEADS[1:]:
        said = RELEASED.fullmatch(head)
        assert said, f"{head} is not of the form 1.2.3 - 2026-11-30"
        assert date.fromisoformat(said[4]) >= date(2026, 11, 1)
        versions.append(tuple(int(said[place]) for place in (1, 2, 3)))
    assert versions == sorted(versions, reverse=True)
    assert not versions or tuple(map(int, VERSION.split("."))) >= versions[0]
