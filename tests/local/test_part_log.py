"""The log of a part has an end, also while the part runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from axonstream.local import part_log
from axonstream.local.part_log import PartLog


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_log, "MAX_LOG_BYTES", 100)


def test_a_log_is_cut_while_the_part_writes_and_goes_on_at_its_new_beginning(tmp_path: Path) -> None:
    """Delivery 14: it was cut only when the part started."""
    log = PartLog(tmp_path / "sink-0.log")
    with log.open() as output:
        output.write(b"x" * 200 + b"\n")
        output.flush()
        log.cut_if_long()
        output.write(b"ready sink\n")
        output.flush()
        assert log.is_ready()
    assert log.path.read_bytes() == b"ready sink\n"
    assert log.path.with_suffix(".log.1").read_bytes() == b"x" * 200 + b"\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sink-0.log", "sink-0.log.1"]
    assert log.path.with_suffix(".log.1").stat().st_mode & 0o077 == 0


def test_a_short_log_stays_as_it_is(tmp_path: Path) -> None:
    log = PartLog(tmp_path / "sink-0.log")
    log.cut_if_long()
    log.path.write_bytes(b"short\n")
    log.cut_if_long()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"short\n"]


def test_only_what_this_process_printed_says_that_it_is_ready(tmp_path: Path) -> None:
    log = PartLog(tmp_path / "sink-0.log")
    log.path.write_bytes(b"ready sink\nAddress already in use\n")
    with log.open() as output:
        assert not log.is_ready()
        assert not log.holds(b"address already in use")
        output.write(b"starting\nready sink\n")
        output.flush()
        assert log.is_ready()


def test_the_last_lines_of_a_long_log_are_found(tmp_path: Path) -> None:
    log = PartLog(tmp_path / "sink-0.log")
    log.path.write_bytes(b"".join(b"line %d\n" % number for number in range(100_000)))
    assert log.last_lines() == [f"line {number}" for number in range(99_995, 100_000)]
