"""The server secret of a local stack: DATA_DIR/server-secret, made once, readable by its owner alone."""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_hex

import click

from producers.settings import Settings

_FILE = "server-secret"


def kept_secret(data_dir: Path) -> str:
    """The secret of the directory, which `axonstream up` holds; made when there is none."""
    path = data_dir / _FILE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".half")
        half.unlink(missing_ok=True)
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    return path.read_text().strip()


def server_secret(settings: Settings, data_dir: Path) -> bytes:
    """AXONSTREAM_SERVER_SECRET, or else that of the stack of `data_dir`. Raises click.ClickException for neither."""
    secret = settings.server_secret.get_secret_value()
    path = data_dir / _FILE
    if not secret and path.exists():
        secret = path.read_text().strip()
    if not secret:
        raise click.ClickException(
            "keys are kept under a secret of the server: set AXONSTREAM_SERVER_SECRET to that of the gateways (make "
            "one with `openssl rand -hex 32`), or name the data directory of `axonstream up` with --data-dir"
        )
    return secret.encode()
