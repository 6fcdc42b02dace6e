"""What a supervisor takes for the life, the death and the refusal of a part."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from axonstream.local.errors import PartFailedError, PortTakenError
from axonstream.local.mended import Mended
from axonstream.local.supervised_part import PartSpec, SupervisedPart
from kit.until import until

pytestmark = pytest.mark.services  # it needs none, but a process takes seconds

ENDS_WITHIN_S = 60
# The insert timeout is above the session timeout: the sink refuses its settings with exit code 78.
REFUSED = {"AXONSTREAM_INSERT_TIMEOUT_MS": "99999999"}
ENDS_AT_ONCE = ("no-such-command",)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("run", "logs"):
        (tmp_path / name).mkdir()
    return tmp_path


@contextmanager
def another_program() -> Generator[int]:
    """The port of loopback that it listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def unheard(line: str) -> None: ...


async def at_once(pid: int) -> bool:
    return True


def test_a_part_that_a_restart_cannot_help_is_not_started_again_and_says_why(directory: Path) -> None:
    spec = PartSpec("sink-0", ("sink",), REFUSED, probe=at_once)

    async def first_word() -> str:
        said: asyncio.Queue[str] = asyncio.Queue()
        part = SupervisedPart(spec, directory, said.put_nowait)
        await part.start()
        word = await asyncio.wait_for(said.get(), ENDS_WITHIN_S)
        await part.stop()
        return word

    word = asyncio.run(first_word())
    assert "sink-0 ended with exit code 78 and is not started again" in word
    assert "AXONSTREAM_INSERT_TIMEOUT_MS" in word, "the reason, from its log"
    assert list((directory / "run").iterdir()) == []


def test_a_part_that_refuses_to_start_waits_until_a_command_has_mended_what_it_names(directory: Path) -> None:
    """Delivery 3: it ended the whole stack, and so the Kafka that the command needs."""

    async def words() -> list[str]:
        said: list[str] = []
        part = SupervisedPart(PartSpec("sink-0", ("sink",), REFUSED, waits=True), directory, said.append)
        starting = asyncio.create_task(part.start())
        await until(lambda: len(said) == 1, "the refusal is told", ENDS_WITHIN_S)
        Mended(directory).say()
        await until(lambda: len(said) == 3, "it was started again", ENDS_WITHIN_S)
        assert not starting.done()
        starting.cancel()
        await part.stop()
        return said

    first, started, second = asyncio.run(words())
    assert "exit code 78" in first
    assert f"--data-dir {directory}" in first
    assert started == "starting sink-0"
    assert "exit code 78" in second


def test_without_waiting_a_refusal_fails_the_start(directory: Path) -> None:
    part = SupervisedPart(PartSpec("sink-0", ("sink",), REFUSED), directory, unheard)
    with pytest.raises(PartFailedError, match="exit code 78"):
        asyncio.run(part.start())


def test_a_dead_part_is_dead_although_something_answers_for_it(directory: Path) -> None:
    """Users 1: the probe was asked first, and another stack's Kafka answered it."""

    async def start() -> None:
        async def answers(pid: int) -> bool:
            process = part._process
            await until(lambda: process is not None and process.returncode is not None, "it has ended", ENDS_WITHIN_S)
            return True

        part = SupervisedPart(PartSpec("kafka", ENDS_AT_ONCE, probe=answers), directory, unheard)
        await part.start()

    with pytest.raises(PartFailedError, match="kafka ended with exit code 2"):
        asyncio.run(start())


def test_what_listens_on_the_port_of_a_part_is_not_the_part(directory: Path) -> None:
    lives_on = {"AXONSTREAM_CLICKHOUSE_URL": "http://127.0.0.1:1"}  # it asks again and again

    async def start(port: int) -> None:
        spec = PartSpec("kafka", ("sink",), lives_on, ports=(port,), probe=never)
        part = SupervisedPart(spec, directory, unheard)
        try:
            await part.start()
        finally:
            await part.stop()

    async def never(pid: int) -> bool:
        return False

    with another_program() as port, pytest.raises(PortTakenError):
        asyncio.run(start(port))


def test_a_part_whose_port_was_taken_while_it_was_down_is_not_started_beside_the_other(directory: Path) -> None:
    """Its clients would take the other for the part."""

    async def lost(port: int) -> str:
        told: asyncio.Queue[str] = asyncio.Queue()
        part = SupervisedPart(PartSpec("kafka", ENDS_AT_ONCE, ports=(port,)), directory, unheard, told.put_nowait)
        watching = asyncio.create_task(part._keep_running(await part._spawn()))
        words = await asyncio.wait_for(told.get(), ENDS_WITHIN_S)
        await asyncio.wait_for(watching, ENDS_WITHIN_S)
        return words

    with another_program() as port:
        assert f"another program has taken its port {port}" in asyncio.run(lost(port))
