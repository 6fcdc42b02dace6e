"""Two processes of one name, under load: one ends and says why, the other goes on, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest

from axonstream.process.fail_stop import EXIT_CODE, EXIT_MISMATCH
from axonstream.settings.settings import Settings
from kit.command_line import Part, environment, running_part
from kit.event_load import EventLoad, event_load
from kit.oracle import judge
from kit.until import until

pytestmark = pytest.mark.services

NAME = "one-of-two"
PARTS = ("sink", "processor")
# A session is 10 s. The name is free again at once, so that a successor has not even waited for one.
STARTS_WITHIN_S = 60.0
ENDS_WITHIN_S = 90.0
PACE_S = 0.2  # 100 events a second


@pytest.fixture
def settings(server_settings: Settings) -> Settings:
    return with_name(server_settings, NAME)


def with_name(settings: Settings, name: str) -> Settings:
    return settings.model_copy(update={"sink_instance": name, "processor_instance": name})


@asynccontextmanager
async def ready(settings: Settings, part: str) -> AsyncGenerator[Part]:
    with running_part(environment(settings), part) as running:
        await asyncio.to_thread(running.until_said, f"ready {part}\n", STARTS_WITHIN_S)
        yield running


def must_say_what_to_do(part: Part, name: str) -> None:
    assert part.process.returncode == EXIT_MISMATCH, part.said
    asked = f"another process runs under the same name, AXONSTREAM_{name.upper()}_INSTANCE={NAME}"
    assert f"stopping at once: {asked}: give each its own name, or none" in part.said, part.said


async def judged(settings: Settings, load: EventLoad, *parts: Part) -> None:
    """By the oracle; what the parts said is shown where it finds something."""
    try:
        found = await judge(settings, acknowledged=load.acknowledged, unknown=load.unknown)
        found.must_be_clean()
    except AssertionError:
        for part in parts:
            print(f"--- {part.process.args} {part.process.poll()}:\n{part.said}")
        raise


@pytest.mark.parametrize("part", PARTS)
def test_the_second_ends_the_first_goes_on_and_killed_leaves_its_name_to_a_successor(
    part: str, settings: Settings
) -> None:
    [other] = set(PARTS) - {part}

    async def story() -> None:
        async with AsyncExitStack() as running:
            await running.enter_async_context(ready(settings, other))
            first = await running.enter_async_context(ready(settings, part))
            async with event_load(settings, seed=7, pace_s=PACE_S) as load:
                await load.more(100)
                with running_part(environment(settings), part) as second:
                    await asyncio.to_thread(second.ended, ENDS_WITHIN_S)
                    must_say_what_to_do(second, part)
                    assert "Joined group" not in second.said, "it was in the group, and put the first one out"
                assert first.said.count("Joined group") == 1, "the first one has noticed nothing"
                async with ready(with_name(settings, f"{NAME}-other"), part) as renamed:  # "give each its own name"
                    await load.more(100)
                    assert renamed.process.poll() is None, renamed.said
                assert first.process.poll() is None, first.said
            await judged(settings, load, first)  # by the first alone: it has all partitions again
            async with event_load(settings, seed=8, pace_s=PACE_S) as more:
                more.acknowledged, more.unknown = load.acknowledged, load.unknown  # keys go on where the others ended
                await more.more(100)
                first.process.kill()
                killed = monotonic()
                successor = await running.enter_async_context(ready(settings, part))
                assert monotonic() - killed < STARTS_WITHIN_S
                await more.more(100)
            await judged(settings, more, successor)
            assert successor.process.poll() is None, successor.said

    asyncio.run(story())


@pytest.mark.parametrize("age", ["both young", "one older than a session"])
@pytest.mark.parametrize("part", PARTS)
def test_of_two_on_two_machines_one_ends_and_one_goes_on(
    part: str, age: str, settings: Settings, tmp_path: Path
) -> None:
    """Kafka gives the name to the one that joins last, and what it says to the other one is the only sign."""
    [other] = set(PARTS) - {part}
    on_another_machine = environment(settings) | {"TMPDIR": str(tmp_path)}  # it sees no lock of the first one

    async def story() -> None:
        async with AsyncExitStack() as running:
            await running.enter_async_context(ready(settings, other))
            one = await running.enter_async_context(ready(settings, part))
            since = monotonic()
            async with event_load(settings, seed=9, pace_s=PACE_S) as load:
                if age != "both young":
                    session_s = settings.session_timeout_ms / 1000
                    await until(lambda: monotonic() - since > session_s + 1, "it has been there for a session", 60)
                another = running.enter_context(running_part(on_another_machine, part))

                def one_has_ended() -> bool:
                    codes = (one.process.poll(), another.process.poll())
                    assert None in codes, f"both ended:\n{one.said}\n{another.said}"
                    return codes != (None, None)

                await until(one_has_ended, "one of the two ends", ENDS_WITHIN_S)
                ended, stays = (one, another) if one.process.poll() is not None else (another, one)
                await asyncio.to_thread(ended.ended)
                if ended.process.returncode == EXIT_CODE:  # a processor that came first, in the middle of a write
                    assert age != "both young"
                    assert (ended, part) == (one, "processor"), ended.said
                    stays = await running.enter_async_context(ready(settings, part))  # as its supervisor does
                    ended = another
                    await asyncio.to_thread(ended.ended)
                must_say_what_to_do(ended, part)
                await load.more(100)
            await judged(settings, load, ended, stays)
            assert stays.process.poll() is None, stays.said
            if age != "both young":
                assert ended is another, "the one that came later ends"

    asyncio.run(story())
