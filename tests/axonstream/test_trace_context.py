"""Trace ids, span ids, and who sees which trace. Every test runs its work in an empty context."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import pickle
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Thread
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonstream import TraceContext, ValidationError, current_trace, get_or_create_trace, trace_scope

Result = TypeVar("Result")


def in_an_empty_context(work: Callable[[], Result]) -> Result:
    return contextvars.Context().run(work)


def test_a_new_trace_is_tr_and_16_hex_and_its_spans_count_from_one():
    trace = in_an_empty_context(get_or_create_trace)
    kind, digits = trace.trace_id.split("_")
    assert kind == "tr"
    assert len(digits) == 16
    assert int(digits, 16) >= 0
    assert [trace.next_span_id(), trace.next_span_id()] == [f"sp_{digits}_0001", f"sp_{digits}_0002"]


def test_the_id_may_be_injected():
    trace = in_an_empty_context(lambda: get_or_create_trace(new_id=lambda: "tr_00000000000000ff"))
    assert trace.next_span_id() == "sp_00000000000000ff_0001"


@given(st.text(min_size=1))
def test_two_workers_of_any_trace_never_give_out_the_same_span(trace_id: str):
    spans: set[str] = set()
    for worker in (TraceContext(trace_id), TraceContext(trace_id), get_or_create_in_an_empty_context(trace_id)):
        one, other = worker.next_span_id(), worker.next_span_id()
        assert re.fullmatch("sp_[0-9a-f]{16}_0001", one)
        assert other == one.removesuffix("0001") + "0002"
        spans |= {one, other}
    assert len(spans) == 6


def get_or_create_in_an_empty_context(trace_id: str) -> TraceContext:
    return in_an_empty_context(lambda: get_or_create_trace(trace_id))


def test_a_longer_hex_id_lends_its_first_16_digits_to_its_maker():
    trace = in_an_empty_context(lambda: get_or_create_trace(new_id=lambda: "tr_0123456789abcdef0123456789abcdef"))
    assert trace.next_span_id() == "sp_0123456789abcdef_0001"


def test_past_9999_the_number_grows():
    trace = TraceContext("tr_run_42", new_digits=lambda: "0123456789abcdef")
    spans = [trace.next_span_id() for _ in range(10_000)]
    assert spans[9998:] == ["sp_0123456789abcdef_9999", "sp_0123456789abcdef_10000"]


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda trace: copy.deepcopy({"t": trace})["t"], lambda t: pickle.loads(pickle.dumps(t))],
)
def test_a_copy_is_of_the_same_trace_and_has_span_ids_of_its_own(copied: Callable[[TraceContext], TraceContext]):
    """K16 of the reports: a framework deep copies its state between steps, or pickles it to a worker."""
    trace = in_an_empty_context(get_or_create_trace)
    before = trace.next_span_id()
    one, other = copied(trace), copied(trace)
    assert one.trace_id == other.trace_id == trace.trace_id
    assert len({before, trace.next_span_id(), one.next_span_id(), other.next_span_id()}) == 4


@pytest.mark.slow
def test_a_forked_child_has_span_ids_of_its_own():
    program = """
import os
from axonstream import get_or_create_trace
trace = get_or_create_trace()
before = trace.next_span_id()
child = os.fork()
os.write(1, f"{trace.trace_id} {before} {trace.next_span_id()} {trace.next_span_id()}\\n".encode())
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    one, other = (line.split() for line in done.stdout.splitlines())
    assert one[:2] == other[:2]
    assert len({*one, *other}) == 6
    assert one[2:] == sorted(one[2:])
    assert other[2:] == sorted(other[2:])


def test_two_tasks_that_name_the_same_trace_have_spans_of_their_own():
    async def worker() -> list[str]:
        trace = get_or_create_trace("tr_run_42")
        await asyncio.sleep(0)
        return [trace.next_span_id(), get_or_create_trace("tr_run_42").next_span_id()]

    async def both() -> None:
        one, other = await asyncio.gather(worker(), worker())
        assert len({*one, *other}) == 4
        assert one == sorted(one)

    in_an_empty_context(lambda: asyncio.run(both()))


def test_an_empty_id_is_refused():
    with pytest.raises(ValidationError, match="trace_id is empty"):
        get_or_create_trace("")


def test_called_functions_see_the_same_trace():
    def work() -> None:
        trace = get_or_create_trace()
        assert get_or_create_trace() is trace
        assert current_trace() is trace

    in_an_empty_context(work)


def test_asking_for_the_current_trace_makes_none():
    assert in_an_empty_context(current_trace) is None


def test_an_explicit_id_becomes_the_current_trace_and_asking_again_goes_on_counting():
    def work() -> None:
        before = get_or_create_trace()
        trace = get_or_create_trace("tr_run_42")
        assert trace is not before
        assert trace.next_span_id().endswith("_0001")
        assert get_or_create_trace("tr_run_42").next_span_id().endswith("_0002")
        assert get_or_create_trace() is trace

    in_an_empty_context(work)


def test_a_scope_ends_with_the_trace_that_was_before_also_after_an_error():
    def work() -> None:
        outer = get_or_create_trace()
        with trace_scope() as inner:
            assert inner.trace_id != outer.trace_id
            assert get_or_create_trace() is inner
        assert current_trace() is outer
        with trace_scope("tr_run_42") as named:
            assert named.trace_id == "tr_run_42"
        assert current_trace() is outer
        with pytest.raises(LookupError), trace_scope():
            raise LookupError
        assert current_trace() is outer

    in_an_empty_context(work)


def test_a_thread_in_a_copied_context_continues_the_trace():
    def work() -> None:
        trace = get_or_create_trace()
        seen: list[TraceContext] = []
        thread = Thread(target=contextvars.copy_context().run, args=(lambda: seen.append(get_or_create_trace()),))
        thread.start()
        thread.join()
        assert seen == [trace]

    in_an_empty_context(work)


def test_a_plain_thread_starts_without_a_trace():
    def work() -> None:
        get_or_create_trace()
        seen: list[TraceContext | None] = []
        thread = Thread(target=lambda: seen.append(contextvars.Context().run(current_trace)))
        thread.start()
        thread.join()
        assert seen == [None]

    in_an_empty_context(work)


def test_tasks_and_to_thread_continue_the_trace_that_spawned_them():
    async def child() -> TraceContext:
        return get_or_create_trace()

    async def parent() -> None:
        trace = get_or_create_trace()
        assert await asyncio.gather(child(), child(), asyncio.to_thread(get_or_create_trace)) == [trace] * 3

    in_an_empty_context(lambda: asyncio.run(parent()))


def test_sibling_tasks_do_not_see_each_others_trace_nor_does_their_parent():
    async def request(both_made: asyncio.Barrier) -> str:
        trace = get_or_create_trace()
        await both_made.wait()
        assert get_or_create_trace() is trace
        return trace.trace_id

    async def server() -> None:
        both_made = asyncio.Barrier(2)
        one, other = await asyncio.gather(request(both_made), request(both_made))
        assert one != other
        assert current_trace() is None

    in_an_empty_context(lambda: asyncio.run(server()))


def test_a_pool_thread_forgets_the_trace_of_a_request_in_a_scope():
    def request() -> str:
        with trace_scope():
            return get_or_create_trace().trace_id

    with ThreadPoolExecutor(1) as pool:
        ids = [pool.submit(request).result() for _ in range(5)]
        assert pool.submit(current_trace).result() is None
    assert len(set(ids)) == 5


def test_threads_that_share_a_trace_never_get_the_same_span():
    trace = TraceContext("tr_run_42", new_digits=lambda: "0123456789abcdef")
    together = Barrier(4)

    def spans() -> list[str]:
        together.wait()
        return [trace.next_span_id() for _ in range(500)]

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(spans) for _ in range(4)]
        every = [span for future in futures for span in future.result()]
    assert sorted(every) == [f"sp_0123456789abcdef_{number:04d}" for number in range(1, 2001)]


def streamed() -> Iterator[TraceContext]:
    with trace_scope() as trace:
        for _ in range(2):
            assert get_or_create_trace() is trace
            yield trace


def test_a_generators_scope_is_not_its_readers():
    def work() -> None:
        for trace in streamed():
            assert current_trace() is None
            assert trace.trace_id
        with trace_scope() as mine:
            seen = {trace.trace_id for trace in streamed() if current_trace() is mine}
        assert len(seen) == 1
        assert mine.trace_id not in seen

    in_an_empty_context(work)


def test_generators_that_are_read_in_turns_leave_nothing_behind():
    def work() -> None:
        one, other = streamed(), streamed()
        assert next(one) is not next(other)
        assert current_trace() is None
        mine = get_or_create_trace()
        next(one)
        next(other)
        assert list(one) == list(other) == []
        assert current_trace() is mine

    in_an_empty_context(work)


def test_a_generator_that_is_given_up_leaves_nothing_behind():
    def work() -> None:
        reader = streamed()
        next(reader)
        del reader
        assert current_trace() is None

    in_an_empty_context(work)


def test_an_asynchronous_generators_scope_is_its_own_and_that_of_the_tasks_that_it_starts():
    async def stream() -> AsyncGenerator[TraceContext]:
        with trace_scope() as trace:
            for _ in range(2):
                assert await asyncio.create_task(seen_by_a_task()) is trace
                assert await asyncio.to_thread(current_trace) is trace
                assert current_trace() is trace
                yield trace

    async def seen_by_a_task() -> TraceContext | None:
        await asyncio.sleep(0)
        return current_trace()

    async def read() -> None:
        traces = [trace async for trace in stream() if current_trace() is None]
        assert len(traces) == 2
        given_up = stream()
        await anext(given_up)
        assert current_trace() is None
        await given_up.aclose()
        assert current_trace() is None

    in_an_empty_context(lambda: asyncio.run(read()))


def test_a_context_manager_made_of_a_generator_hands_its_scope_on():
    @contextmanager
    def run() -> Generator[TraceContext]:
        with trace_scope() as trace:
            yield trace

    def generator() -> Iterator[TraceContext]:
        with run() as trace:
            assert current_trace() is trace
            yield trace

    def work() -> None:
        with run() as trace:
            assert current_trace() is trace
        assert current_trace() is None
        for _ in generator():
            assert current_trace() is None

    in_an_empty_context(work)


@pytest.fixture
def trace_of_a_fixture() -> Iterator[TraceContext]:
    with trace_scope() as trace:
        yield trace


def test_a_fixture_hands_its_scope_on_to_the_test(trace_of_a_fixture: TraceContext):
    assert current_trace() is trace_of_a_fixture


def test_a_task_keeps_the_trace_of_a_scope_that_has_ended_since():
    async def late() -> TraceContext | None:
        with trace_scope():
            await asyncio.sleep(0)
        return current_trace()

    async def request() -> None:
        with trace_scope() as trace:
            task = asyncio.create_task(late())
        assert current_trace() is None
        assert await task is trace

    in_an_empty_context(lambda: asyncio.run(request()))
