"""Every file of examples/ runs, and prints what it should."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from axonstream.local.endpoints import Endpoints

pytestmark = pytest.mark.services

EXAMPLES = Path(__file__).parents[1] / "examples"
PRINTS = {
    "one_service.py": r"events: 3, tool calls: 1, errors: 1\n(planner  \w+  agent\.\S+  \{.*\}\n){3}",
    "two_services.py": r"events: 2, agents: planner, writer\n",
    "fastapi_service.py": r"two requests, two traces: True\na request with a trace joins it: True\n"
    r"\{'events': 2, 'tool_calls': 1\}\n",
    "straight_to_kafka.py": r"events: 2\n",
    "own_sql.py": r"agent_id\terrors\tevents\n(.*\t\d+\t\d+\n)+",
}


def test_all_of_them_are_tried() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == PRINTS.keys()


@pytest.mark.parametrize("name", PRINTS)
def test_an_example_prints_what_it_should(name: str, endpoints: Endpoints, stack_directory: Path) -> None:
    given = {
        "AXONSTREAM_URL": endpoints.gateway_url,
        "AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS": endpoints.kafka_bootstrap_servers,
        "AXONSTREAM_DATA_DIR": str(stack_directory),
    }
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(PRINTS[name], done.stdout), done.stdout
