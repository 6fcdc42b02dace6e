"""The servers that the subjects of a benchmark share: the embedded Kafka and ClickHouse, or those that run already.

AXONSTREAM_TEST_KAFKA=host:port and AXONSTREAM_TEST_CLICKHOUSE=http://host:port name servers that run already;
AXONSTREAM_CLICKHOUSE_PASSWORD is the password of the latter.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from axonstream.local.free_ports import free_port

READY_S = 120.0
KAFKA, CLICKHOUSE = "AXONSTREAM_TEST_KAFKA", "AXONSTREAM_TEST_CLICKHOUSE"
PASSWORD = "AXONSTREAM_CLICKHOUSE_PASSWORD"


@dataclass(frozen=True, slots=True)
class Servers:
    """Where they listen."""

    kafka: str
    clickhouse: str

    def environment(self) -> dict[str, str]:
        """What tells another benchmark to use these servers."""
        return {KAFKA: self.kafka, CLICKHOUSE: self.clickhouse, PASSWORD: os.environ.get(PASSWORD, "")}


@contextmanager
def servers() -> Generator[Servers]:
    """Servers for a block of code; what was started here is stopped at its end, and its data deleted."""
    kafka, clickhouse = os.environ.get(KAFKA), os.environ.get(CLICKHOUSE)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="axonstream-bench-")))
        if kafka is None:
            port = free_port()
            stack.enter_context(_part(directory, "kafka", "--port", port, "--controller-port", free_port()))
            kafka = f"127.0.0.1:{port}"
            asyncio.run(_until_kafka_answers(kafka))
        if clickhouse is None:
            port = free_port()
            os.environ[PASSWORD] = token_hex(16)  # where all settings of this process and of its subjects find it
            process = stack.enter_context(_part(directory, "clickhouse", "--port", port))
            assert process.stdout is not None
            if process.stdout.readline() != "ready clickhouse\n":
                raise RuntimeError("the embedded ClickHouse did not start")
            clickhouse = f"http://127.0.0.1:{port}"
        yield Servers(kafka, clickhouse)


def clean_environment(added: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with the password of ClickHouse, no other setting of axonstream, and what is added."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AXONSTREAM_") or name == PASSWORD}
    return {**kept, "PYTHONUNBUFFERED": "1", **(added or {})}


@contextmanager
def _part(directory: Path, name: str, *options: str | int) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "axonstream.cli.main", name, "--data-dir", str(directory), *map(str, options)]
    process = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _until_kafka_answers(address: str) -> None:
    async with asyncio.timeout(READY_S):
        while True:
            admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=2000)
            try:
                await admin.start()
            except KafkaError:
                await asyncio.sleep(0.2)
            else:
                return
            finally:
                await admin.close()
