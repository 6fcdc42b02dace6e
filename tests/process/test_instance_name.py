"""Workers that nobody named do not meet under one name."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from axonstream.process.instance_name import client_name, static_member
from axonstream.settings.settings import Settings

TELLS = "from axonstream.process.instance_name import client_name; print(client_name('sink', ''))"


def test_without_a_name_two_processes_differ_and_none_is_a_static_member() -> None:
    """Delivery 7: all had the names processor-0 and sink-0, and threw each other out of the group."""
    settings = Settings()
    for part, instance in (("processor", settings.processor_instance), ("sink", settings.sink_instance)):
        assert client_name(part, instance) == f"{part}-{socket.gethostname()}-{os.getpid()}"
        assert static_member(instance) is None
    other = subprocess.run([sys.executable, "-c", TELLS], capture_output=True, text=True, timeout=60, check=True)
    assert other.stdout.strip() not in ("", client_name("sink", ""))


def test_a_name_that_is_given_is_kept() -> None:
    assert client_name("sink", "sink-3") == static_member("sink-3") == "sink-3"
