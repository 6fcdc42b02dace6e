"""How `make test` gives its files to the processes that run them at once. This module is a plugin of pytest."""

# pyright: reportMissingTypeStubs=false
# xdist is not marked as typed.

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler.loadfile import LoadFileScheduling

# Folders in the order in which they begin: what takes minutes first, so that all processes end together.
LONG = ("faults", "remedies", "end_to_end", "sinks", "stream_processors", "local", "cli", "gateway")
NEEDS_SERVICES = "pytest.mark.services"
SHARED = "three_brokers"  # the dearest fixture of a session; files that ask for it go to one process


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A run in one process keeps the order of the files, which a reader expects."""
    if hasattr(config, "workerinput"):
        items.sort(key=_rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """A process that is free takes the next file."""
    from xdist.scheduler.loadfile import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return SHARED if SHARED in _text(config.rootpath / file) else file

    return Scheduling(config, log)


def _rank(item: pytest.Item) -> tuple[bool, int]:
    folder = item.path.parent.name
    return NEEDS_SERVICES not in _text(item.path), LONG.index(folder) if folder in LONG else len(LONG)


@cache
def _text(path: Path) -> str:
    return path.read_text()
