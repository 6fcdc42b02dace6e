"""The built wheel with each extra, in an environment of its own that has nothing else, does its job there.

With the versions of the lock on each Python that this machine has, and with the lowest versions that pyproject.toml
allows on the oldest Python.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from time import time_ns

import pytest

from axonstream.local.endpoints import Endpoints
from kit.lowest_versions import lowest_versions
from kit.pythons import MINORS, python_of

pytestmark = [pytest.mark.services, pytest.mark.soak, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
ALONE = {"axonstream"}
EXTRAS = ("", "kafka", "server", "local", "all")
OF_OTHER_PYTHONS = ("", "kafka", "all")
PUBLISHES = """
import sys
from axonstream import AxonPush
with AxonPush(api_key="ak_local", tenant_id="1", base_url=sys.argv[1]) as client:
    event = client.events.publish("installed", {}, 1, trace_id=sys.argv[3])
    print(client.traces.get_summary(sys.argv[3]).total_events)
"""
IN_MEMORY = """
from axonstream.testing import MemoryServer
server = MemoryServer()
with server.client() as client:
    event = client.events.publish("installed", {"large": 2**70}, 1)
    print(client.traces.get_summary(event.trace_id).total_events, server.events[0].payload["large"] == 2**70)
"""
TO_KAFKA = """
import asyncio, sys
from axonstream import KafkaPublisher
async def publish():
    async with KafkaPublisher(bootstrap_servers=sys.argv[2], tenant_id="1") as publisher:
        await publisher.publish("installed", {}, 1, trace_id=sys.argv[3])
asyncio.run(publish())
print(1)
"""
SERVES = """
import axonstream.gateway.server, axonstream.sinks.worker, axonstream.stream_processors.worker
print(1)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", into, ROOT)
    [built] = into.glob("axonstream-*.whl")
    return built


def pip(python: str | Path, *words: str | Path) -> None:
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr


def run(environment: Path, *words: str | Path, **given: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AXONSTREAM_", "PYTHON"))}
    done = subprocess.run(
        words, cwd=environment, env={**inherited, **given}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def locked(into: Path) -> Path:
    """The versions of the lock, without the hashes: those of what is built here are not known."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    named = [line.removesuffix(" \\") for line in lines if re.match(r"[a-z0-9]", line)]
    (into / "constraints.txt").write_text("\n".join(named) + "\n")
    return into / "constraints.txt"


def lowest(extra: str, into: Path) -> Path:
    """The lowest versions of what the project asks for itself; of what these ask for, pip takes what fits."""
    (into / "constraints.txt").write_text("\n".join(lowest_versions(extra)) + "\n")
    return into / "constraints.txt"


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_is_installed_does_its_job(extra: str, wheel: Path, endpoints: Endpoints, tmp_path: Path) -> None:
    does_its_job(sys.executable, extra, wheel, locked(tmp_path), endpoints, tmp_path)


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_lowest_versions_do_their_job(extra: str, wheel: Path, endpoints: Endpoints, tmp_path: Path) -> None:
    does_its_job(found(MINORS[0]), extra, wheel, lowest(extra, tmp_path), endpoints, tmp_path)


@pytest.mark.parametrize("extra", OF_OTHER_PYTHONS)
@pytest.mark.parametrize("minor", [minor for minor in MINORS if minor != sys.version_info.minor])
def test_other_pythons_do_their_job(minor: int, extra: str, wheel: Path, endpoints: Endpoints, tmp_path: Path) -> None:
    does_its_job(found(minor), extra, wheel, locked(tmp_path), endpoints, tmp_path)


def found(minor: int) -> str:
    python = python_of(minor)
    if python is None:
        pytest.skip(f"this machine has no Python 3.{minor} in its PATH, and none of pyenv or uv")
    return python


def does_its_job(base: str, extra: str, wheel: Path, constraints: Path, endpoints: Endpoints, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([base, "-m", "venv", environment], check=True, timeout=300)
    python = environment / "bin/python"
    what = f"{wheel}[{extra}]" if extra else str(wheel)
    pip(python, "install", "--constraint", constraints, what)
    [packages] = environment.glob("lib/python*/site-packages")
    record = next(packages.glob("axonstream-*.dist-info")) / "RECORD"
    top = {line.partition("/")[0] for line in record.read_text().splitlines() if not line.startswith("..")}
    assert {name for name in top if not name.endswith(".dist-info")} == ALONE

    trace = f"tr_installed_{time_ns()}"
    where = (endpoints.gateway_url, endpoints.kafka_bootstrap_servers, trace)
    assert run(environment, python, "-c", IN_MEMORY) == "1 True\n"
    assert run(environment, python, "-c", PUBLISHES, *where) == "1\n"
    if extra in ("kafka", "all"):
        assert run(environment, python, "-c", TO_KAFKA, *where) == "1\n"
    if extra in ("server", "local", "all"):
        assert run(environment, python, "-c", SERVES) == "1\n"
    if extra in ("local", "all"):
        demo = [environment / "bin/axonstream", "demo", "--data-dir", tmp_path / "data"]
        assert "ERROR" in run(environment, *demo)
