"""Writes sinks/schema.sql: applies the migrations to an empty ClickHouse of its own, and shows what came of them."""

from __future__ import annotations

import socket
import subprocess
import sys
from tempfile import TemporaryDirectory

from axonstream.clickhouse.client import connect_blocking
from axonstream.settings.settings import Settings
from axonstream.sinks.schema import migrate
from axonstream.sinks.shown_schema import SCHEMA, schema_text


def main() -> None:
    with TemporaryDirectory() as directory:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        command = [sys.executable, "-m", "axonstream.local.clickhouse_http", directory, "--port", str(port)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            if server.stdout is None or not server.stdout.readline().startswith("ready"):
                sys.exit("ClickHouse did not start")
            settings = Settings(clickhouse_url=f"http://127.0.0.1:{port}")
            migrate(settings)
            client = connect_blocking(settings)
            try:
                SCHEMA.write_text(schema_text(client, settings.clickhouse_database))
            finally:
                client.close()
        finally:
            server.terminate()
            server.wait()
    sys.stdout.write(f"{SCHEMA.name}\n")


if __name__ == "__main__":
    main()
