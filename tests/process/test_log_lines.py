"""A record of the log is one line, whatever a sender or a server has put into it."""

from __future__ import annotations

import ast
import io
import logging
import logging.config
import sys
from collections.abc import Generator

import pytest

from axonstream.process.log_lines import FORMAT, HarmlessFormatter, harmless_errors, log_config, log_to_stderr
from axonstream.process.log_repeats import FewRepeats
from kit.hostile_text import HOSTILE, effects
from kit.rooms import ROOMS, ROOT


@pytest.fixture
def log() -> Generator[tuple[logging.Logger, io.StringIO]]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(HarmlessFormatter(FORMAT))
    logger = logging.getLogger("a logger of this test")
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, written
    logger.removeHandler(handler)


def test_a_record_is_one_line_without_effects(log: tuple[logging.Logger, io.StringIO]) -> None:
    """S22: log lines reach terminals, by `axonstream gateway`, `up` and whoever reads a file."""
    logger, written = log
    logger.warning("refused: %s\n2026-01-01 00:00:00,000 INFO gateway all is well", HOSTILE)
    assert effects(written.getvalue()) == []
    assert written.getvalue().count("\n") == 1
    assert "\\x1b[2J" in written.getvalue()


def test_no_line_of_a_traceback_passes_for_a_record(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    try:
        raise ValueError(f"{HOSTILE}\nready gateway\n2026-01-01 00:00:00,000 INFO gateway all is well")
    except ValueError:
        logger.exception("it failed", stack_info=True)
    first, *others = written.getvalue().splitlines()
    assert "it failed" in first
    assert len(others) > 5
    assert [line for line in others if not line.startswith("    ")] == []
    assert effects(written.getvalue()) == []


def test_what_another_handler_has_made_of_a_traceback_is_not_taken_over() -> None:
    record = logging.LogRecord("x", logging.ERROR, "", 0, "it failed", (), (ValueError, ValueError(HOSTILE), None))
    logging.Formatter().format(record)
    assert effects(HarmlessFormatter().format(record)) == []


def test_what_python_writes_itself_has_no_effects(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    last = logging.StreamHandler(sys.stderr)
    monkeypatch.setattr(logging, "lastResort", last)
    harmless_errors()
    sys.excepthook(ValueError, ValueError(HOSTILE), None)
    last.handle(logging.LogRecord("x", logging.ERROR, "", 0, HOSTILE, (), None))
    printed = capsys.readouterr().err
    assert printed.count("\\x1b[2J") == 2
    assert effects(printed) == []


def test_faust_is_given_the_same_lines() -> None:
    configuration = log_config("INFO")
    made = logging.config.DictConfigurator(configuration).configure_formatter(  # pyright: ignore[reportAttributeAccessIssue]
        configuration["formatters"]["default"]
    )
    assert isinstance(made, HarmlessFormatter)


def test_equal_lines_of_a_library_are_few_and_say_how_many_they_stand_for() -> None:
    """A broker that was away for a minute filled the logs with thousands of them."""
    now = 0.0
    few, written = FewRepeats(lambda: now), list[str]()

    def say(name: str, text: str) -> None:
        record = logging.LogRecord(name, logging.ERROR, "", 0, "%s", (text,), None)
        if few.filter(record):
            written.append(record.getMessage())

    for _ in range(3):
        say("aiokafka.conn", "no connection to node 1")
        say("aiokafka.conn", "no connection to node 2")
        say("axonstream.sinks.worker", "of ours")
    assert written == ["no connection to node 1", "no connection to node 2", *["of ours"] * 3]
    now = 12.0
    say("aiokafka.conn", "no connection to node 1")
    assert written[-1] == "no connection to node 1 (2 more of these in the last 12 s)"
    now = 30.0
    say("aiokafka.conn", "no connection to node 1")
    assert written[-1] == "no connection to node 1"
    for number in range(3000):
        say("mode", f"text {number}")
    assert len(few._said) <= 1000


def test_both_ways_to_set_a_log_up_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(logging, "lastResort", None)
    log_to_stderr("INFO")
    assert [type(one) for one in logging.root.handlers[0].filters] == [FewRepeats]
    assert log_config("INFO")["handlers"]["default"]["filters"] == ["repeats"]


@pytest.mark.slow
def test_no_part_sets_its_log_up_by_itself() -> None:
    wrong = [
        file.relative_to(ROOT).as_posix()
        for layer in ROOMS
        for file in (ROOT / layer).rglob("*.py")
        if file.name != "log_lines.py"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"basicConfig", "dictConfig", "StreamHandler"}
    ]
    assert wrong == []
