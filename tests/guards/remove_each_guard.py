"""Remove each guard, one at a time, in a copy of the tree, and see its test fail. Run by hand: `make guards`.

    python tests/guards/remove_each_guard.py [words that the guard's name or file must hold]

A guard whose test still passes is a promise that nobody checks: it is printed, and the exit code is 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from guard_removals import ROOT, Removal, read_removals

LONGEST_S = 600
_NO_TEST_FAILED = 0
_TESTS_FAILED = 1
_COPIED = (
    "axonstream",
    *sorted(link.name for link in (ROOT / "axonstream").iterdir() if link.is_symlink()),
    "tests",
    "docs",
    "pyproject.toml",
)


@contextmanager
def servers(directory: Path) -> Generator[dict[str, str]]:
    """One Kafka and one ClickHouse for all runs, as the environment that names them to the tests."""
    ports = ["--port", "0", "--kafka-port", "0", "--clickhouse-port", "0"]
    command = [sys.executable, "-m", "axonstream.cli.main", "up", *ports]
    stack = subprocess.Popen([*command, "--data-dir", str(directory)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert stack.stdout is not None
        if not any(line.startswith("axonstream is ready") for line in stack.stdout):
            sys.exit("the stack did not start")
        from axonstream.local.endpoints import read_endpoints

        endpoints = read_endpoints(directory)
        assert endpoints is not None
        yield {
            "AXONSTREAM_TEST_KAFKA": endpoints.kafka_bootstrap_servers,
            "AXONSTREAM_TEST_CLICKHOUSE": endpoints.clickhouse_url,
            "AXONSTREAM_CLICKHOUSE_PASSWORD": endpoints.clickhouse_password or "",
        }
    finally:
        stack.terminate()
        stack.wait(60)


def exit_code(removal: Removal, environment: dict[str, str]) -> int:
    """Of the guard's test, in a copy of the tree without the guard."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, copy / name)
        removal.apply(copy)
        options = ["-x", "--hypothesis-profile=guards", *(["--soak"] if removal.soak else [])]
        command = [sys.executable, "-m", "pytest", *options, removal.test]
        try:
            done = subprocess.run(
                command,
                cwd=copy,
                env={**os.environ, **environment, "PYTHONPATH": str(copy)},
                timeout=LONGEST_S,
                capture_output=True,
                text=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _TESTS_FAILED
    if done.returncode not in (_NO_TEST_FAILED, _TESTS_FAILED):
        print(done.stdout[-2000:], done.stderr[-2000:], sep="\n", file=sys.stderr)
    return done.returncode


def main() -> int:
    wanted = [word.lower() for word in sys.argv[1:]]
    removals = [
        removal
        for removal in read_removals()
        if all(word in f"{removal.guard} {removal.file}".lower() for word in wanted)
    ]
    unproven: list[str] = []
    with tempfile.TemporaryDirectory() as directory, servers(Path(directory)) as environment:
        for removal in removals:
            started = time.monotonic()
            code = exit_code(removal, environment)
            outcome = "its test fails without it" if code == _TESTS_FAILED else f"NOT PROVEN (pytest ended with {code})"
            print(f"{removal.guard} ({removal.file}): {outcome}, {time.monotonic() - started:.0f} s", flush=True)
            if code != _TESTS_FAILED:
                unproven.append(removal.guard)
    print(f"{len(removals)} guards removed, {len(removals) - len(unproven)} proven")
    return 1 if unproven else 0


if __name__ == "__main__":
    sys.exit(main())
