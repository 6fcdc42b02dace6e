"""An environment for each version of the public package, made once a machine (pip needs its index for that)."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

CACHE = Path.home() / ".cache" / "axonstream" / "clients"
VERSIONS: tuple[str, ...] = ("0.0.1", "0.0.5", "0.0.9", "0.0.19")
LOCKS = Path(__file__).parent.parent / "compatibility" / "clients"  # written by `make lock`
INSTALL_S = 240
PROGRAM_S = 90


def client_python(version: str) -> Path:
    """The Python of an environment with `axonpush` of this version, what its integrations need, and nothing of ours.

    The first who asks makes those of all VERSIONS, at the same time: they mostly wait for the index.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with ThreadPoolExecutor(len(VERSIONS)) as pool:
            pythons = list(pool.map(_made, VERSIONS))
    return pythons[VERSIONS.index(version)]


def _made(version: str) -> Path:
    lock = LOCKS / f"axonpush-{version}.lock"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    home = CACHE / f"axonpush-{version}-{digest}-py{sys.version_info.major}.{sys.version_info.minor}"
    python, complete = home / "bin" / "python", home / "complete"
    if not complete.exists():
        make = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(home)]
        subprocess.run(make, check=True, timeout=INSTALL_S)
        install = ["-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
        wanted = ["--no-deps", "--require-hashes", "-r", str(lock)]
        subprocess.run([sys.executable, *install, *wanted], check=True, timeout=INSTALL_S)
        complete.touch()
    return python


def run_program(version: str, program: Path, *arguments: str) -> dict[str, Any]:
    """What the program prints as JSON on its last line; its failure is the test's, with all that it said."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AXON", "PYTHON"))}
    done = subprocess.run(
        [str(client_python(version)), str(program), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
