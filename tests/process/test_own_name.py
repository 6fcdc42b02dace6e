"""The lock that holds a name on one machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from axonstream.process.errors import NameTakenError
from axonstream.process.own_name import own_name
from axonstream.settings.settings import Settings

HOLDS = """
import sys
from axonstream.settings.settings import Settings
from axonstream.process.own_name import own_name
with own_name(Settings(), "sink", "sink-0"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


def test_a_name_that_a_living_process_has_is_refused_and_free_once_it_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        taken = pytest.raises(NameTakenError, match="AXONSTREAM_SINK_INSTANCE=sink-0")
        with taken, own_name(Settings(), "sink", "sink-0"):
            pass
        holder.kill()
        holder.wait()
    with own_name(Settings(), "sink", "sink-0"):
        pass


@pytest.mark.parametrize(
    ("settings", "part", "instance"),
    [
        (Settings(), "sink", "sink-1"),
        (Settings(), "processor", "sink-0"),
        (Settings(topic_prefix="other-"), "sink", "sink-0"),
        (Settings(kafka_bootstrap_servers="127.0.0.1:1"), "sink", "sink-0"),
    ],
)
def test_another_name_part_or_installation_is_another_one(settings: Settings, part: str, instance: str) -> None:
    with own_name(Settings(), "sink", "sink-0"), own_name(settings, part, instance):
        pass


def test_without_a_name_nothing_is_held() -> None:
    with own_name(Settings(), "sink", ""), own_name(Settings(), "sink", ""):
        pass


def test_where_nothing_can_be_locked_the_process_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    with own_name(Settings(), "sink", "sink-0"), own_name(Settings(), "sink", "sink-0"):
        pass


def test_a_place_is_that_of_one_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is told the same place as an earlier one knows that it is dead."""

    def place() -> str:
        with own_name(Settings(), "sink", "sink-0") as told:
            return told

    first = place()
    assert place() == first
    monkeypatch.setattr("axonstream.process.own_name._BOOT_ID", tmp_path / "of another machine, or after a restart")
    assert place() != first
    monkeypatch.undo()
    elsewhere = tmp_path / "container"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    assert place() != first
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nothing can be locked here"))
    assert place() != place()
