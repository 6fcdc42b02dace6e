"""1, 2 and 4 processors, and as many sinks: whether counts stay exact, and what an event costs all of them together.

All are ready before the events come, so that no member joins in the middle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from axonstream.clickhouse.client import connect
from benchmarks.measuring.filled_topic import ends_of, fill_topic
from benchmarks.measuring.installation import PARTITIONS, Installation
from benchmarks.measuring.output_watch import DEADLINE_S, watching
from benchmarks.measuring.plan import read_plan
from benchmarks.measuring.results import Results
from benchmarks.measuring.sample_events import TRACES, sample_records
from benchmarks.measuring.servers import Servers, servers
from benchmarks.measuring.subject_process import SubjectProcess

SIZES = (1, 2, 4)


@dataclass(frozen=True, slots=True)
class Members:
    """Processes that are measured as one."""

    processes: Sequence[SubjectProcess]

    def running(self) -> bool:
        return all(process.running() for process in self.processes)

    def cpu_s(self) -> float:
        return sum(process.cpu_s() for process in self.processes)


async def turn(at: Servers, size: int, count: int) -> list[tuple[str, dict[str, float], str]]:
    """One row for the processors, one for the sinks."""
    installation = Installation(at)
    await asyncio.to_thread(installation.initialise)
    with ExitStack() as stack:
        members: dict[str, Members] = {}
        for part in ("processor", "sink"):
            instance = f"AXONSTREAM_{part.upper()}_INSTANCE"
            processes = [
                stack.enter_context(installation.part(part, **{instance: f"{part}-{number}"})) for number in range(size)
            ]
            for process in processes:
                await asyncio.to_thread(process.until_line, f"ready {part}")
            members[part] = Members(processes)
        consumer, watch = await watching(at.kafka, installation.topics.summaries)
        client = await connect(installation.settings)
        try:
            before = {part: group.cpu_s() for part, group in members.items()}
            await fill_topic(at.kafka, installation.events, sample_records(count))
            ends = await ends_of(consumer, installation.events)
            async with asyncio.timeout(DEADLINE_S):
                while await watch.folded() != ends:
                    await asyncio.sleep(0.1)
                while (await client.query("SELECT count() FROM events_log")).result_rows[0][0] < count:
                    await asyncio.sleep(0.1)
            used = {part: group.cpu_s() - before[part] for part, group in members.items()}
            counted = sum((await watch.counts()).values())
            found = (await client.query("SELECT count(), uniqExact(_partition, _offset) FROM events_log")).result_rows[
                0
            ]
            await client.command(f"DROP DATABASE {installation.settings.clickhouse_database}")
        finally:
            await consumer.stop()
            await client.close()
    per_event = {part: {"CPU us/event": cpu / count * 1e6} for part, cpu in used.items()}
    return [
        (f"{size} processors", per_event["processor"], "" if counted == count else f"{counted} of {count} counted"),
        (f"{size} sinks", per_event["sink"], "" if tuple(found) == (count, count) else f"{found} rows of {count}"),
    ]


def main() -> None:
    plan = read_plan(__doc__)
    count = plan.size(500_000, 10_000)
    configuration = {"events": count, "traces": TRACES, "partitions": PARTITIONS, "rounds": plan.rounds}
    with servers() as at:
        results = Results("scale_out", "several processors and sinks", plan, configuration)
        for _ in range(plan.rounds):
            for size in SIZES:
                for subject, values, wrong in asyncio.run(turn(at, size, count)):
                    results.add(subject, values, wrong)
    for part in ("processors", "sinks"):
        for size in SIZES[1:]:
            results.at_most("CPU us/event", f"{size} {part}", f"1 {part}", 1.25)
    results.write()


if __name__ == "__main__":
    main()
