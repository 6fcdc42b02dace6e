"""One real stack for the whole test session, started by `axonstream up` in an empty directory on free ports."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import Phase, settings
from pydantic import SecretStr

from axonstream.deploy.init import initialise
from axonstream.local.endpoints import Endpoints, read_endpoints
from axonstream.settings.settings import Settings
from kit.java_archive import use_java_archive
from kit.printed import end, read_on
from kit.soak_report import SoakReport

# Where it is set, each run rewrites all files of tests, and each process that a test starts compiles our modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

pytest_plugins = ["kit.parallel_run", "kit.run_ended"]

# `make quick` draws fewer examples, so that it stays quick; `make test` draws the usual hundred, `make soak` more.
settings.register_profile("quick", max_examples=15, deadline=None)
settings.register_profile("full", deadline=None)
settings.register_profile("guards", deadline=None, phases=[Phase.explicit, Phase.generate])  # a failure is all it asks
settings.register_profile("soak", max_examples=2000, deadline=None)
settings.load_profile("full")

API_KEYS = "ak_local=1,ak_other=2"
SOAK_REPORT = pytest.StashKey[SoakReport]()
SOAK_REPORT_DIRECTORY = Path(__file__).parent.parent / "build" / "soak"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="inject faults in full, as `make soak` does")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SOAK_REPORT] = SoakReport(SOAK_REPORT_DIRECTORY if config.getoption("--soak") else None)
    if config.getoption("--soak"):
        settings.load_profile("soak")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `soak` are too long for `make test`, or need tools beyond Python and make."""
    if not config.getoption("--soak"):
        long = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    used = os.times()
    cpu_s = round(used.user + used.system + used.children_user + used.children_system)
    terminalreporter.write_line(f"CPU of this run and of what it started: {cpu_s // 60} min {cpu_s % 60:02} s")
    report = config.stash[SOAK_REPORT]
    if config.getoption("--soak"):
        report.write()
        terminalreporter.section("faults injected")
        for line in report.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether faults are to be injected in full (`make soak`); otherwise in seconds (`make test`)."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture(scope="session")
def soak_report(request: pytest.FixtureRequest) -> SoakReport:
    return request.config.stash[SOAK_REPORT]


@pytest.fixture(scope="session")
def stack_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory of a stack that is ready; it is stopped at the end of the session."""
    use_java_archive()
    directory = tmp_path_factory.mktemp("stack")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AXONSTREAM_")}
    ports = ["--port", "0", "--kafka-port", "0", "--clickhouse-port", "0"]
    command = [sys.executable, "-m", "axonstream.cli.main", "up", *ports]
    stack = subprocess.Popen(
        [*command, "--data-dir", str(directory)],
        env={**environment, "AXONSTREAM_API_KEYS": API_KEYS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert stack.stdout is not None
    printed: list[str] = []
    try:
        for line in stack.stdout:
            printed.append(line)
            if line.startswith("axonstream is ready"):
                break
        else:
            pytest.fail("the stack did not start:\n" + "".join(printed))
        read_on(stack)
        yield directory
    finally:
        stack.send_signal(signal.SIGTERM)
        try:
            stack.wait(60)
        finally:
            end(stack)


@pytest.fixture(scope="session")
def endpoints(stack_directory: Path) -> Endpoints:
    """Of the session's stack. Its password of ClickHouse goes where all settings and processes of the tests find it."""
    found = read_endpoints(stack_directory)
    assert found is not None
    if "AXONSTREAM_TEST_CLICKHOUSE" not in os.environ:
        os.environ["AXONSTREAM_CLICKHOUSE_PASSWORD"] = found.clickhouse_password or ""
    return found


@pytest.fixture(scope="session")
def gateway_url(endpoints: Endpoints) -> str:
    """A gateway with the keys ak_local of tenant 1 and ak_other of tenant 2."""
    return endpoints.gateway_url


@pytest.fixture(scope="session")
def kafka_bootstrap(request: pytest.FixtureRequest) -> str:
    """AXONSTREAM_TEST_KAFKA names a broker that runs already; without it, the broker of the session's stack."""
    return os.environ.get("AXONSTREAM_TEST_KAFKA") or request.getfixturevalue("endpoints").kafka_bootstrap_servers


@pytest.fixture(scope="session")
def clickhouse_url(request: pytest.FixtureRequest) -> str:
    """AXONSTREAM_TEST_CLICKHOUSE names a server that runs already; without it, that of the session's stack.

    Its password is that of AXONSTREAM_CLICKHOUSE_PASSWORD.
    """
    return os.environ.get("AXONSTREAM_TEST_CLICKHOUSE") or request.getfixturevalue("endpoints").clickhouse_url


@pytest.fixture(scope="session")
def stack_settings(endpoints: Endpoints, stack_directory: Path) -> Settings:
    """The settings of the running stack."""
    return Settings(
        kafka_bootstrap_servers=endpoints.kafka_bootstrap_servers,
        clickhouse_url=endpoints.clickhouse_url,
        clickhouse_password=SecretStr(endpoints.clickhouse_password or ""),
        data_dir=stack_directory,
    )


@pytest.fixture
def server_settings(kafka_bootstrap: str, clickhouse_url: str, tmp_path: Path) -> Settings:
    """Topics and a database of this test alone, made, with nothing that reads or writes them yet."""
    name = uuid4().hex[:8]
    settings = Settings(
        kafka_bootstrap_servers=kafka_bootstrap,
        clickhouse_url=clickhouse_url,
        topic_prefix=f"t{name}-",
        clickhouse_database=f"t{name}",
        topic_partitions=2,
        data_dir=tmp_path,
    )
    asyncio.run(initialise(settings))
    return settings
