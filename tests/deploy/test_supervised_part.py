"""What a part's exit code says to the one who keeps it running."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deploy.supervised_part import PartSpec, SupervisedPart

pytestmark = pytest.mark.services  # it needs none, but a process takes seconds

ENDS_WITHIN_S = 60


async def at_once() -> bool:
    return True


def test_a_part_that_a_restart_cannot_help_is_not_started_again_and_says_why(tmp_path: Path) -> None:
    for name in ("run", "logs"):
        (tmp_path / name).mkdir()
    # The insert timeout is above the session timeout: the sink refuses its settings with exit code 78.
    spec = PartSpec("sink-0", ("sink",), {"AXONSTREAM_INSERT_TIMEOUT_MS": "99999999"}, probe=at_once)

    async def first_word() -> str:
        said: asyncio.Queue[str] = asyncio.Queue()
        part = SupervisedPart(spec, tmp_path, said.put_nowait)
        await part.start()
        word = await asyncio.wait_for(said.get(), ENDS_WITHIN_S)
        await part.stop()
        return word

    word = asyncio.run(first_word())
    assert "sink-0 ended with exit code 78 and is not started again" in word
    assert "AXONSTREAM_INSERT_TIMEOUT_MS" in word, "the reason, from its log"
    assert list((tmp_path / "run").iterdir()) == []
