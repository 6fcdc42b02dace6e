"""The built wheel with each extra, in an environment of its own that has nothing else, does its job there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path
from time import time_ns

import pytest

from axonstream.local.endpoints import Endpoints

pytestmark = [pytest.mark.services, pytest.mark.soak, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
ALONE = {"axonstream"}
PUBLISHES = """
import sys
from axonstream import AxonPush
with AxonPush(api_key="ak_local", tenant_id="1", base_url=sys.argv[1]) as client:
    event = client.events.publish("installed", {}, 1, trace_id=sys.argv[3])
    print(client.traces.get_summary(sys.argv[3]).total_events)
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


@pytest.mark.parametrize("extra", ["", "kafka", "server", "local", "all"])
def test_what_is_installed_does_its_job(extra: str, wheel: Path, endpoints: Endpoints, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin/python"
    what = f"{wheel}[{extra}]" if extra else str(wheel)
    pip(python, "install", "--constraint", locked(tmp_path), what)
    [packages] = environment.glob("lib/python*/site-packages")
    record = next(packages.glob("axonstream-*.dist-info")) / "RECORD"
    top = {line.partition("/")[0] for line in record.read_text().splitlines() if not line.startswith("..")}
    assert {name for name in top if not name.endswith(".dist-info")} == ALONE

    trace = f"tr_installed_{time_ns()}"
    where = (endpoints.gateway_url, endpoints.kafka_bootstrap_servers, trace)
    assert run(environment, python, "-c", PUBLISHES, *where) == "1\n"
    if extra in ("kafka", "all"):
        assert run(environment, python, "-c", TO_KAFKA, *where) == "1\n"
    if extra in ("server", "local", "all"):
        assert run(environment, python, "-c", SERVES) == "1\n"
    if extra in ("local", "all"):
        demo = [environment / "bin/axonstream", "demo", "--data-dir", tmp_path / "data"]
        assert "ERROR" in run(environment, *demo)
