"""How to log in to the ClickHouse of a local stack: DATA_DIR/clickhouse.env, made once, readable by its owner alone.

For people who connect a client of their own; a shell can read it, too. `axonstream up` keeps the password and writes
the address anew at each start. The names are not those of our settings: a shell that has read the file must not tell
`axonstream up` to use another server than the local one.
"""

from __future__ import annotations

from pathlib import Path
from secrets import token_urlsafe

from axonstream.local.private_file import write_private

_FILE = "clickhouse.env"
_PASSWORD = "CLICKHOUSE_PASSWORD="  # noqa: S105  the name, not the password
_TEXT = """\
# How your own client reaches the ClickHouse of this axonstream stack, over HTTP. The user `reader` only reads.
CLICKHOUSE_URL={url}
CLICKHOUSE_USER=default
{name}{password}
"""


def login_file(data_dir: Path) -> Path:
    return data_dir / _FILE


def kept_password(data_dir: Path) -> str:
    """The password of the directory; a new one (256 random bits) when there is none yet, kept by `write_login`."""
    path = login_file(data_dir)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [line.removeprefix(_PASSWORD) for line in lines if line.startswith(_PASSWORD)]
    return found[-1] if found and found[-1] else token_urlsafe(32)


def write_login(data_dir: Path, url: str, password: str) -> None:
    """Say where ClickHouse listens from now on, and what it asks for."""
    write_private(login_file(data_dir), _TEXT.format(url=url, name=_PASSWORD, password=password))
