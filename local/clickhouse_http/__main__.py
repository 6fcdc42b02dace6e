"""`python -m axonstream.local.clickhouse_http DIRECTORY --port 8123`.

The password comes from AXONSTREAM_CLICKHOUSE_PASSWORD.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from axonstream.local.clickhouse_http.clickhouse_error import DirectoryInUseError, OpenToAllError
from axonstream.local.clickhouse_http.server import run
from axonstream.process.harmless_text import harmless
from axonstream.process.log_lines import harmless_errors
from axonstream.settings.settings import Settings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m axonstream.local.clickhouse_http", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8123, help="(%(default)s)")
    given = parser.parse_args()
    harmless_errors()
    try:
        run(given.directory, given.host, given.port, Settings().clickhouse_password.get_secret_value())
    except (DirectoryInUseError, OpenToAllError, OSError) as error:
        print(harmless(str(error)), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
