"""Which code a part runs, and by what a later supervisor knows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from axonstream.local.data_directory import DataDirectory
from axonstream.local.part_process import environment_of, parts_of, python_of

PACKAGES = ("axonstream", "producers", "stream_processors", "sinks", "gateway", "deploy")
ENDS_WITHIN_S = 60


@pytest.fixture
def of_the_user(tmp_path: Path) -> Path:
    """A folder with packages of the user's own that have the names of ours."""
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('this is the code of the user')")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("python_path", [None, "."])
def test_packages_of_the_users_folder_do_not_shadow_ours(
    of_the_user: Path, python_path: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users 5: `axonstream up` ran the user's own `gateway`."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if python_path is not None:
        inherited["PYTHONPATH"] = python_path
    done = subprocess.run(
        [*python_of(sys.executable), "gateway", "--help"],
        cwd=of_the_user,
        env=environment_of(inherited, {}, of_the_user),
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Serve the HTTP interface" in done.stdout


def waiting(data_dir: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", "print(1, flush=True); input()"],
        env=environment_of(os.environ, {}, data_dir),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_a_process_that_a_killed_supervisor_left_is_ended_whatever_the_clock_and_its_pid_file_say(
    tmp_path: Path,
) -> None:
    """Delivery 14: the file's time against that of the process, which moves when the clock is set."""
    left, other = waiting(tmp_path), waiting(tmp_path / "other")
    try:
        for process in (left, other):
            assert process.stdout is not None
            process.stdout.readline()
        assert parts_of(tmp_path) == [psutil.Process(left.pid)]
        (tmp_path / "run").mkdir()
        file = tmp_path / "run" / "sink-0.pid"
        file.write_text(f"{other.pid}\n")  # a pid that was given to another process since
        os.utime(file, (0, 0))
        with DataDirectory(tmp_path):
            assert not psutil.pid_exists(left.pid)
            assert other.poll() is None
            assert list((tmp_path / "run").glob("*.pid")) == []
    finally:
        for process in (left, other):
            process.kill()
            process.communicate()
