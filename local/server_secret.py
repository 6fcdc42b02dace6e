"""The server secret of a local stack: DATA_DIR/server-secret, made once, readable by its owner alone."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex

from axonstream.local.private_file import write_private
from axonstream.process.exit_codes import NoSecretError
from axonstream.settings.settings import Settings

_FILE = "server-secret"


def kept_secret(data_dir: Path) -> str:
    """The secret of the directory, which `axonstream up` holds; made when there is none."""
    path = data_dir / _FILE
    if not path.exists():
        write_private(path, token_hex(32))
    return path.read_text().strip()


def server_secret(settings: Settings, data_dir: Path) -> bytes:
    """AXONSTREAM_SERVER_SECRET, or else that of the stack of `data_dir`. Raises NoSecretError for neither."""
    secret = settings.server_secret.get_secret_value()
    path = data_dir / _FILE
    if not secret and path.exists():
        secret = path.read_text().strip()
    if not secret:
        raise NoSecretError(
            f"{data_dir} is not the data directory of a stack: start one with `axonstream up`, or name its directory "
            "with --data-dir. With gateways elsewhere, set AXONSTREAM_SERVER_SECRET to theirs: keys are kept under it"
        )
    return secret.encode()
