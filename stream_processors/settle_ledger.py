"""Which offset of one partition may be committed, and whether a chunk was lost on its way to the agent. No I/O.

A chunk goes through four steps:
  1. fetched      it is linked to what was fetched before it
  2. claimed      the agent is about to fold it: it must start where the folded part ends, or earlier (I3)
  3. settled      it is folded, and its output is queued
  4. committable  its output, and that of every chunk before it, is acknowledged (I4)
"""

from __future__ import annotations

from asyncio import Future
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from axonstream.kafka.record_identity import CommitNote, RecordMark, later_of
from axonstream.stream_processors.errors import BrokenInvariantError

Outputs = Sequence["Future[Any]"]
MAX_UNCOMMITTED = 100_000  # offsets of a partition; fetching waits for a commit
REACH = 2 * MAX_UNCOMMITTED  # beyond a commit nobody has folded anything: the last fetch may go over the limit


class SettleLedger:
    """One partition, from its assignment to its revocation. Positions are exclusive: the next offset to come."""

    def __init__(self, start: int, log_end: int, *, mark: RecordMark | None = None, reached: int | None = None) -> None:
        """Folding starts at `start` when the log ends at `log_end`; it was compared up to the record `mark`.

        An earlier life has committed `reached` at the most; `start` where that is not said.
        """
        self._fetched_to = start
        self._folded_to = start
        self._committable: int | None = None
        self._committed = start
        self._read_again_to = min(log_end, (start if reached is None else reached) + REACH)
        self._unacknowledged: deque[tuple[int, Outputs, RecordMark | None]] = deque()
        self._mark = mark
        self._marks: dict[int, RecordMark | None] = {}

    def fetching_from(self, start: int) -> None:
        """The consumer was moved to `start`; what is fetched next begins there."""
        self._fetched_to = start

    def fetched(self, first: int, last: int) -> int:
        """Count the records from `first` to `last`; returns the position that they begin at.

        That is where the fetch before ended, and not `first`: Kafka leaves gaps between records where transaction
        markers stand. Every fetch counts, also one that is put back, so that one that gets lost leaves a hole.
        """
        start = min(self._fetched_to, first)
        self._fetched_to = last + 1
        return start

    @property
    def fetched_to(self) -> int:
        return self._fetched_to

    def claim(self, start: int) -> None:
        """I3. A chunk that starts earlier is fine: what is folded already is behind the fence (I1)."""
        if start > self._folded_to:
            raise BrokenInvariantError(
                f"a chunk starts at {start}, but only {self._folded_to} is reached: one was lost"
            )

    def settle(self, end: int, outputs: Outputs, mark: RecordMark | None = None) -> None:
        """Everything below `end` is folded; `outputs` are the acknowledgements to come.

        `mark` is of the last record below `end`, None when there was none since the chunk before.
        """
        if end >= self._folded_to:
            self._folded_to, self._mark = end, later_of(mark, self._mark)
        self._unacknowledged.append((self._folded_to, outputs, self._mark))

    def note(self, end: int, mark: RecordMark | None) -> CommitNote:
        """What the changelog is told with a chunk that ends at `end`, after the record `mark`.

        It keeps saying the mark that folding began with, until the chunks are beyond it.
        """
        return CommitNote(last=later_of(mark, self._mark), folded=end)

    def commit_note(self, position: int) -> str:
        """The metadata of a commit of `position`, which was committable."""
        return CommitNote(last=self._marks.get(position)).encode()

    def owe(self, outputs: Outputs) -> None:
        """What was queued beside the output of chunks: nothing more is committable before it is acknowledged, too."""
        self._unacknowledged.append((self._folded_to, outputs, self._mark))

    def committable(self) -> int | None:
        """I4: the highest position whose output, and all before it, is acknowledged; None when there is none yet.

        Raises BrokenInvariantError when an output failed: it will not come, and what follows must not be committed.
        """
        while self._unacknowledged:
            end, outputs, mark = self._unacknowledged[0]
            if not all(output.done() for output in outputs):
                break
            for output in outputs:
                if output.cancelled() or output.exception():
                    raise BrokenInvariantError(
                        f"output of the events below {end} was not acknowledged: {output!r}"
                    ) from (None if output.cancelled() else output.exception())
            self._committable = end
            self._marks[end] = mark
            self._unacknowledged.popleft()
        return self._committable

    def pending(self) -> Iterator[Future[Any]]:
        """The outputs that are not acknowledged yet."""
        return (output for _, outputs, _ in self._unacknowledged for output in outputs if not output.done())

    def commit_accepted(self, position: int) -> None:
        """The broker has stored `position` as committed."""
        self._committed = max(self._committed, position)
        self._marks = {end: mark for end, mark in self._marks.items() if end >= position}

    @property
    def uncommitted(self) -> int:
        """How many offsets are fetched beyond what is committed."""
        return self._fetched_to - self._committed

    @property
    def final_below(self) -> int:
        """I14: the summaries of a state below are final: no event below it is ever folded again, and none above it
        was folded by an earlier life of this process, which may have left a summary of it without a state.

        0 until everything is committed that an earlier life can have folded: what the log held when this one began, and
        at most REACH. (Not covered: one fetch that spans a gap of more offsets, as a very long aborted transaction is.)
        """
        return self._committed if self._committed >= self._read_again_to else 0

    @property
    def folded_to(self) -> int:
        return self._folded_to

    @property
    def backlog(self) -> int:
        """Settled chunks that wait for acknowledgements, as of the last `committable`."""
        return len(self._unacknowledged)
