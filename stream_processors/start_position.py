"""Where folding of a partition begins, from what is known of how far it was folded. Pure: values in, a decision out.

Four places say how far: the group's committed offset, the note that ends each chunk on the changelog, the watermark
that ends each chunk on trace-summaries, and the log of agent-events itself. In a healthy life the first is the lowest.
After a power cut or an unclean election each of them may have lost its end. So folding begins at the lowest: what is
in the states already is skipped (I1), and its summaries are sent again. Commit and note also say which record they were
made after (kafka/record_identity.py). When the log has another one there, it lost its end and grew again, and
everything that it holds is folded anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

from axonstream.kafka.record_identity import CommitNote, RecordMark, Standing, later_of
from axonstream.stream_processors.errors import BrokenInvariantError

ALL = 1 << 63

Compared = Sequence[tuple[RecordMark, Standing]]


@dataclass(frozen=True, slots=True)
class Known:
    """Of one partition; positions are exclusive, and None where nothing is said.

    `commit` is None for a commit by a version that wrote no notes. `summaries` is the last
    watermark, `rebuild` the order to fold everything again. `earliest` is the first offset of the states that end at or
    after the watermark, where the changelog says more than the summaries.
    """

    log_start: int
    log_end: int
    committed: int | None = None
    commit: CommitNote | None = None
    changelog: CommitNote | None = None
    summaries: CommitNote | None = None
    rebuild: bool = False
    earliest: int | None = None

    def marks(self) -> list[RecordMark]:
        """The records that must stand where they stood."""
        notes = (self.commit, self.changelog, self.summaries)
        return [note.last for note in notes if note is not None and note.last is not None]


class Start(NamedTuple):
    """Begin to fold at `position`; the log was compared up to the record `mark`, which may be above `position`.

    Whoever begins says that mark again. Output of an earlier life may count on the record although no note says so but
    the one that went ahead of it (snapshots.announced), and a note without it would hide that note.

    States whose last offset is below `forget_below` are forgotten first, and those that end at `forget_since` or later:
    all that is in these is folded again, but for what Kafka has deleted. `reached` is how far an earlier life may have
    come, None when that is not known. `anew` says that the log is not the one that was folded.
    """

    position: int
    mark: RecordMark | None = None
    forget_below: int = 0
    forget_since: int = ALL
    reached: int | None = None
    anew: bool = False

    @property
    def forgets(self) -> bool:
        """Whether there may be states to forget."""
        return self.forget_below > 0 or self.forget_since < ALL


def start_of(where: str, known: Known, compared: Compared) -> Start:
    """The decision; `compared` are `known.marks()`, each with how the log of now is related to it.

    1. The log lost its end: fold all of it, with no state. What was folded before stays in summaries of its own.
    2. A person has ordered it: the same, but it is the log that was folded.
    3. Else begin at the lowest of what is known. A commit with a note was made after a changelog note was acknowledged:
       if there is none, the changelog is lost, and nothing is in the states.
    4. The changelog says more than the summaries: those have lost their end (I18). What the states past it did to their
       steps is lost, and so may be the summary of a state that was evicted before one of them began. So these states
       are forgotten, and folding begins where the first of them did.
    5. Kafka has deleted what is to be read next, and it is in summaries already: begin at the log's start. A state that
       ends before it may miss events that are no more, so it is forgotten: later events make a segment of their own.

    Raises BrokenInvariantError when Kafka has deleted events that were in no summary; without a committed offset that
    is not known, and folding begins with what there is.
    """
    folded = _folded(known)
    summarized = None if known.summaries is None else known.summaries.folded
    told = [position for position in (known.committed, folded, summarized) if position is not None]
    if _lost_its_end(known, compared, told):
        return Start(known.log_start, forget_below=ALL, anew=True)
    mark = reduce(later_of, (mark for mark, is_now in compared if is_now is Standing.SAME), None)
    if known.rebuild:
        return Start(known.log_start, mark, forget_below=ALL)
    if not any(told):
        return Start(known.log_start, mark)
    if known.committed:
        check_deleted(where, known.committed, known.log_start)
    position = min(told)
    lost = summarized is not None and summarized < max(told)
    return Start(
        max(position if known.earliest is None or not lost else min(position, known.earliest), known.log_start),
        mark,
        forget_below=known.log_start if position < known.log_start else 0,
        forget_since=summarized if lost and summarized is not None else ALL,
        reached=None if known.committed is None else max(told),
    )


def check_deleted(where: str, position: int, log_start: int) -> None:
    """Raises BrokenInvariantError when events that were not folded yet are below the start of the log."""
    if position < log_start:
        raise BrokenInvariantError(
            f"{where}: the events {position} to {log_start - 1} were deleted by Kafka's retention before they were "
            "folded. They are lost. To go on without them, run `axonstream rebuild-summaries`: whatever Kafka still "
            "has is folded"
        )


def _folded(known: Known) -> int | None:
    """How far the states of the changelog reach; 0 where it says nothing: it is new, or was lost.

    A commit without a note was made by a version that wrote none to the changelog either: then that is not known.
    """
    if known.committed is not None and known.commit is None:
        return None
    return 0 if known.changelog is None else known.changelog.folded or 0


def _lost_its_end(known: Known, compared: Compared, told: list[int]) -> bool:
    return any(standing.lost_its_end for _, standing in compared) or max(told, default=0) > known.log_end
