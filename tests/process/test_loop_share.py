"""Long work takes one piece of each turn of the event loop, however many tasks have some."""

from __future__ import annotations

import asyncio

from axonstream.process.loop_share import SHORT_AT_ONCE, LoopShare, short_turn

TASKS = 3 * SHORT_AT_ONCE


async def most_at_once(waits: list[asyncio.Task[None]], ran: list[int]) -> int:
    """The most that `ran` grew by in one turn of the loop, until all the tasks have ended."""
    most = 0
    while not all(task.done() for task in waits):
        before = len(ran)
        await asyncio.sleep(0)
        most = max(most, len(ran) - before)
    return most


def test_one_long_piece_runs_in_each_turn_of_the_loop() -> None:
    async def scenario() -> None:
        ran: list[int] = []

        async def work(number: int) -> None:
            share = LoopShare()
            for _ in range(3):
                await share.give_way()
                ran.append(number)

        tasks = [asyncio.create_task(work(number)) for number in range(TASKS)]
        assert await most_at_once(tasks, ran) == 1
        assert ran == [*range(TASKS)] * 3  # in turn

    asyncio.run(scenario())


def test_a_few_short_pieces_run_in_each_turn_of_the_loop() -> None:
    async def scenario() -> None:
        ran: list[int] = []

        async def work(number: int) -> None:
            await short_turn()
            ran.append(number)

        tasks = [asyncio.create_task(work(number)) for number in range(TASKS)]
        assert await most_at_once(tasks, ran) == SHORT_AT_ONCE
        assert ran == [*range(TASKS)]

    asyncio.run(scenario())


def test_who_was_cancelled_while_it_waited_holds_up_nobody() -> None:
    async def scenario() -> None:
        first, second = asyncio.create_task(LoopShare().give_way()), asyncio.create_task(LoopShare().give_way())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait_for(second, 60)

    asyncio.run(scenario())
