"""The order in which Faust calls our hooks is the one that `faust_adapter` has written down."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from uuid import uuid4

import pytest
from test_hooked_internals import OVERRIDDEN

from axonstream.kafka.topic_admin import make_topics
from axonstream.settings.settings import Settings
from axonstream.stream_processors import faust_adapter
from kit import recorded_hooks
from kit.processor_process import events_topic, processor
from kit.recorded_hooks import HOOKED, hooks

# Called with each fetch, second or step: where they come between the others is a matter of time.
PERIODIC = {
    "_getmany",
    "_fetch_records",
    "_filter_tps_with_pending_acks",
    "_new_offset",
    "_commit",
    "_add_gap",
    "_wait",
}
NAME = re.compile(rf"\b(?:{'|'.join(of.__name__ for of in HOOKED)})\.\w+")


def written(heading: str) -> list[str]:
    """Our hooks in a section of the docstring, in its order."""
    text = faust_adapter.__doc__ or ""
    body = text[text.index(f"\n{heading}") :].split("\n\n")[0]
    return NAME.findall(body)


def once(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.partition(".")[2] not in PERIODIC]


def comes_in_order(names: Iterable[str], calls: Iterable[str]) -> bool:
    rest: Iterator[str] = iter(calls)
    return all(name in rest for name in names)


def follow_each_other(names: list[str], calls: Iterable[str]) -> bool:
    """Whether they are called so at least once, with none of them in between."""
    of_these = [name for name, _ in groupby(name for name in calls if name in names)]
    return any(of_these[at : at + len(names)] == names for at in range(len(of_these)))


def since_the_last_revocation(calls: list[str]) -> list[str]:
    """On a busy machine a group may be joined more than once."""
    revoked = [at for at, name in enumerate(calls) if name.endswith(".on_partitions_revoked")]
    return calls[revoked[-1] :]


def without_leftovers(names: list[str]) -> list[str]:
    """What an earlier recovery has left is merged in more than one place, if there is any."""
    return [name for name in names if name != "TraceTable.apply_changelog_batch"]


def test_each_hook_has_a_line_that_says_what_it_is_for() -> None:
    lines = set(written("Each hook"))
    assert {f"{of.__name__}.{name}" for of in HOOKED for name in hooks(of)} | {"PromptTableManager.recovery"} == lines
    assert {name.partition(".")[2] for name in lines} == {method.__name__ for method in OVERRIDDEN}


@pytest.mark.services
def test_faust_calls_in_the_order_that_is_written_down(kafka_bootstrap: str, tmp_path: Path) -> None:
    """A processor starts with a changelog to recover, folds, meets a second one, and stops."""
    settings = Settings(
        kafka_bootstrap_servers=kafka_bootstrap,
        topic_prefix=f"hooks-{uuid4().hex[:8]}-",
        topic_partitions=2,
        session_timeout_ms=20_000,
    )
    asyncio.run(make_topics(settings))
    file = tmp_path / "calls"
    calls: list[list[str]] = []

    async def publish_and_wait() -> None:
        async with events_topic(settings) as events:
            # At once, so that some come together; to both partitions, so that the end of both is waited for.
            await asyncio.gather(*(events.publish(number, f"tr_{number % 8}") for number in range(80)))
            await events.output()

    def end_of_a_part() -> None:
        calls.append(file.read_text().split()[sum(map(len, calls)) :])

    with processor(settings) as process:
        asyncio.run(publish_and_wait())
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    with processor(settings, sys.executable, recorded_hooks.__file__, str(file)) as process:
        end_of_a_part()
        asyncio.run(publish_and_wait())
        end_of_a_part()
        with processor(settings.model_copy(update={"processor_instance": "processor-1"})):
            asyncio.run(publish_and_wait())
            end_of_a_part()
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        end_of_a_part()
    start, _, rebalance, stop = calls
    assert comes_in_order(written("Start"), start)
    assert once(start)[: len(once(written("Start")))] == once(written("Start"))
    joined = [*written("Revoke"), *written("Assign"), *written("Recovery")]
    for part in (start, rebalance):
        assert without_leftovers(once(since_the_last_revocation(part))) == without_leftovers(once(joined))
    assert comes_in_order(joined, since_the_last_revocation(rebalance))
    everything = [name for part in calls for name in part]
    assert follow_each_other([name for name in written("Fetch") if not name.endswith(".on_buffer_full")], everything)
    assert follow_each_other(written("Commit"), everything)
    assert comes_in_order([name for name in written("Stop") if not name.endswith(".close")], stop)
