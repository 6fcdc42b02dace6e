"""A gateway as a process that nobody starts again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO

from pydantic import SecretStr

from axonstream.settings.gateway import LOCAL_KEYS
from axonstream.settings.settings import Settings

_RUN = """
import sys
from pydantic import SecretStr
from axonstream.gateway.server import run
from axonstream.settings.settings import Settings
secrets = {"api_keys": SecretStr(sys.argv[2]), "server_secret": SecretStr(sys.argv[3])}
run(Settings.model_validate_json(sys.argv[1]).model_copy(update=secrets))
"""
# Their defaults are the local ones.
_SECRET_FIELDS = {name for name, info in Settings.model_fields.items() if info.annotation is SecretStr}


@contextmanager
def gateway_process(
    settings: Settings, port: int, api_keys: str = LOCAL_KEYS
) -> Generator[tuple[subprocess.Popen[str], IO[str]]]:
    """The process, not waited for, and what it prints; killed at the end if it still runs."""
    given = settings.model_copy(update={"gateway_port": port}).model_dump_json(exclude=_SECRET_FIELDS)
    command = [sys.executable, "-c", _RUN, given, api_keys, settings.server_secret.get_secret_value()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()
