"""The tables and views as they are now: what `schema.sql` shows, of a database that has all migrations.

The migrations are what is applied; `schema.sql` is for readers. `python docs/generate_schema.py` writes it.
"""

from __future__ import annotations

from pathlib import Path

from clickhouse_connect.driver.client import Client

SCHEMA = Path(__file__).parent / "schema.sql"
_HEAD = """-- The tables and views in ClickHouse as they are now, with the settings' defaults. For readers: the files in
-- migrations/ are what `axonstream init` applies. Written by `python docs/generate_schema.py`; a test compares it.
"""


def schema_text(client: Client, database: str) -> str:
    """The statements that would create each table and view of `database`, by name. Blocking."""
    names = client.query(
        "SELECT name FROM system.tables WHERE database = {database:String} AND name NOT LIKE '.%' ORDER BY name",
        parameters={"database": database},
    ).result_rows
    return "\n".join([_HEAD, *(_statement(client, database, name) for (name,) in names)])


def _statement(client: Client, database: str, name: str) -> str:
    ((created,),) = client.query(f"SHOW CREATE TABLE `{database}`.`{name}`").result_rows
    lines = str(created).replace(f"`{database}`.", "").replace(f"{database}.", "").splitlines()
    return "\n".join(line.rstrip() for line in lines) + ";\n"
