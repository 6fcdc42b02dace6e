"""How a part of the local stack is run: by this Python, on our own code, marked as a part of its data directory."""

from __future__ import annotations

import os
import site
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

_PART_OF = "AXONSTREAM_PART_OF"
_ROOT = Path(__file__).parents[2].resolve()  # in a checkout, `axonstream/deploy` is a link


def python_of(executable: str) -> tuple[str, ...]:
    """`python -P -m axonstream.cli.part_commands`.

    Without -P, packages of the folder where `axonstream up` runs come first: a copy of ours would be run in its place.
    """
    return (executable, "-P", "-m", "axonstream.cli.part_commands")


def environment_of(inherited: Mapping[str, str], own: Mapping[str, str], data_dir: Path) -> dict[str, str]:
    """`own` over `inherited`, and the mark by which a later supervisor of `data_dir` knows the process.

    Code that was found by the working directory or by PYTHONPATH (a checkout) is found by PYTHONPATH, before whatever
    else that names. What is installed needs no path.
    """
    environment = {**inherited, "PYTHONUNBUFFERED": "1", **own, _PART_OF: str(data_dir.resolve())}
    if _ROOT not in _installed():
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), inherited.get("PYTHONPATH", ""))))
    return environment


def parts_of(data_dir: Path) -> list[psutil.Process]:
    """The processes that carry the mark of `data_dir`, and their children: JVM and servers keep the environment.

    No clock and no pid says so: clocks are set, and pids are given to others. Processes of other users are not seen.
    """
    mark = str(data_dir.resolve())
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(_PART_OF) == mark:
                found.append(process)
    return found


def _installed() -> set[Path]:
    return {Path(path).resolve() for path in (*site.getsitepackages(), site.getusersitepackages())}
