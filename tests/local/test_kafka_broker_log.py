"""The log of the broker, which `axonstream kafka` writes to a terminal, has no effect on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kit.hostile_text import effects

_BROKER = """
import sys
from pathlib import Path
from axonstream.local.kafka_broker import _PROPERTIES, DATA, become_broker
directory = Path(sys.argv[1])
properties = _PROPERTIES.format(port=1, controller_port=2, data_dir=directory / DATA) + sys.argv[2]
become_broker(directory, properties, "A" * 22, "--standalone")
"""
HOSTILE = r"broker.session.timeout.ms=\u001b]0;owned\u0007\u009b2J\u202e\u2066\u200b"  # as Java reads properties


def ended(directory: Path) -> str:
    """What a broker says of whose properties one is no number."""
    command = [sys.executable, "-c", _BROKER, str(directory), HOSTILE]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode != 0
    return (done.stdout + done.stderr).decode()


@pytest.mark.services  # it needs Kafka's jars
def test_what_a_broker_logs_and_cannot_format_has_no_effect(tmp_path: Path) -> None:
    """S22, the kind: the message of an exception reached the terminal raw."""
    said = ended(tmp_path)
    assert "Kafka cannot format" in said
    assert "owned" in said
    assert effects(said.replace("\t", "")) == []
    (tmp_path / "log").mkdir(exist_ok=True)
    (tmp_path / "log" / "meta.properties").touch()
    logged = ended(tmp_path)
    assert "Kafka cannot format" not in logged
    assert "owned" in logged
    assert effects(logged.replace("\t", "")) == []
