"""The schema of ClickHouse: numbered SQL files, applied once, forward only, and recorded with their checksum.

Each statement may run again (IF NOT EXISTS), because a crash can come between a migration and its record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from string import Template

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error

from axonstream.clickhouse.client import connect_blocking
from axonstream.clickhouse.codes import UNKNOWN_TABLE
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import MigrationError

MIGRATIONS = Path(__file__).parent / "migrations"
_NAME = re.compile(r"(\d{4})_\w+\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file; the checksum is of its text before the settings are put in, so that settings may change."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return sha256(self.text.encode()).hexdigest()

    def statements(self, values: dict[str, str]) -> list[str]:
        """The statements to run, comments left out."""
        text = "\n".join(line for line in self.text.splitlines() if not line.lstrip().startswith("--"))
        return [statement.strip() for statement in Template(text).substitute(values).split(";") if statement.strip()]


def read_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """All migrations, in their order. Raises MigrationError when the numbers have a gap or repeat."""
    migrations: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        name = _NAME.fullmatch(path.name)
        if name is None:
            raise MigrationError(f"{path.name} is not named as 0001_name.sql")
        migrations.append(Migration(int(name[1]), path.stem, path.read_text()))
    if not migrations or [migration.version for migration in migrations] != list(range(1, len(migrations) + 1)):
        raise MigrationError(f"the numbers of the migrations in {folder.name} must be 1, 2, 3, ... without a gap")
    return migrations


def migrate(settings: Settings, migrations: list[Migration] | None = None) -> None:
    """Create the database, apply what is missing, and set TTLs and fsync as the settings say. Blocking; safe to repeat.

    Raises MigrationError when an applied migration has changed or is unknown here; clickhouse_connect's errors when
    the server does not answer or refuses.
    """
    wanted = read_migrations() if migrations is None else migrations
    values = _values(settings)
    client = connect_blocking(settings)
    try:
        _prepare(client, values)
        applied = _applied(client, values)
        _check(applied, wanted)
        for migration in wanted:
            if migration.version not in applied:
                _apply(client, migration, values)
        _set_ttls(client, settings, values)
        _set_fsync(client, settings, values)
    finally:
        client.close()


async def check_schema(client: AsyncClient) -> None:
    """Raises MigrationError where the database lacks a migration of this version: what is stored there would be wrong.

    One that this version does not know is of a newer one, which runs beside it while parts are replaced.
    """
    try:
        applied = {row[0] for row in (await client.query("SELECT version FROM schema_migrations")).result_rows}
    except Error as error:
        if error.code != UNKNOWN_TABLE:
            raise
        applied = set[int]()
    if missing := [migration.name for migration in read_migrations() if migration.version not in applied]:
        raise MigrationError(
            f"the schema in ClickHouse is that of an earlier version, it lacks {', '.join(missing)}: run `axonstream "
            "init` of this version, then start the sink again"
        )


def _values(settings: Settings) -> dict[str, str]:
    replicated = "Replicated" if settings.clickhouse_cluster else ""
    return {
        "database": f"`{settings.clickhouse_database}`",
        "on_cluster": f"ON CLUSTER `{settings.clickhouse_cluster}`" if replicated else "",
        "merge_tree": f"{replicated}MergeTree",
        "replacing_merge_tree": f"{replicated}ReplacingMergeTree",
        "events_ttl_days": str(settings.events_ttl_days),
        "summaries_ttl_days": str(settings.summaries_ttl_days),
        "dead_letters_ttl_days": str(settings.dead_letters_ttl_days),
    }


def _prepare(client: Client, values: dict[str, str]) -> None:
    client.command(Template("CREATE DATABASE IF NOT EXISTS ${database} ${on_cluster}").substitute(values))
    client.command(
        Template(
            "CREATE TABLE IF NOT EXISTS ${database}.schema_migrations ${on_cluster} "
            "(version UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3)) "
            "ENGINE = ${replacing_merge_tree} ORDER BY version"
        ).substitute(values)
    )


def _applied(client: Client, values: dict[str, str]) -> dict[int, tuple[str, str]]:
    rows = client.query(
        Template("SELECT version, name, checksum FROM ${database}.schema_migrations FINAL").substitute(values)
    ).result_rows
    return {version: (name, checksum) for version, name, checksum in rows}


def _check(applied: dict[int, tuple[str, str]], wanted: list[Migration]) -> None:
    known = {migration.version: migration for migration in wanted}
    for version, (name, checksum) in sorted(applied.items()):
        migration = known.get(version)
        if migration is None:
            raise MigrationError(
                f"the database has migration {name}, which this version does not know: it is older than the schema. "
                "Start the newer version"
            )
        if migration.checksum != checksum:
            raise MigrationError(
                f"migration {name} was applied with another text than {migration.name}.sql has now. Migrations are "
                f"forward only: restore the file, and put the change into {len(wanted) + 1:04d}_<name>.sql"
            )


def _apply(client: Client, migration: Migration, values: dict[str, str]) -> None:
    for statement in migration.statements(values):
        client.command(statement)
    client.insert(
        f"{values['database']}.schema_migrations",
        [[migration.version, migration.name, migration.checksum]],
        column_names=["version", "name", "checksum"],
    )


def _set_ttls(client: Client, settings: Settings, values: dict[str, str]) -> None:
    """A TTL that differs from that of the table is changed; what is stored follows at the next merges."""
    for table, column, days in (
        ("events_log", "_stored_at", settings.events_ttl_days),
        ("trace_summaries", "_stored_at", settings.summaries_ttl_days),
        ("steps_log", "_stored_at", settings.summaries_ttl_days),
        ("dead_letters", "_stored_at", settings.dead_letters_ttl_days),
        ("dead_letter_decisions", "decided_at", 2 * settings.dead_letters_ttl_days),
    ):
        ttl = f"toDateTime(least({column}, toDateTime64('2100-01-01', 3, 'UTC'))) + toIntervalDay({days})"
        found = client.query(
            "SELECT create_table_query FROM system.tables WHERE database = {database:String} AND name = {table:String}",
            parameters={"database": settings.clickhouse_database, "table": table},
        ).result_rows
        if found and f"TTL {ttl}" not in found[0][0]:
            client.command(f"ALTER TABLE {values['database']}.{table} {values['on_cluster']} MODIFY TTL {ttl}")


# What is only here, and a row or two a day: written to the disk before it is acknowledged, whatever the settings say.
_ALWAYS_ON_DISK = ("schema_migrations", "topic_epochs", "installation", "lost_ends", "dead_letter_decisions")


def _set_fsync(client: Client, settings: Settings, values: dict[str, str]) -> None:
    """Whether an INSERT is on the disk when it is acknowledged: the files of its part, and their directory."""
    wanted = dict.fromkeys(_ALWAYS_ON_DISK, True)
    wanted |= dict.fromkeys(("events_log", "trace_summaries", "steps_log", "dead_letters"), settings.fsync_after_insert)
    found = client.query(
        "SELECT name, position(create_table_query, 'fsync_after_insert = 1') > 0 FROM system.tables "
        "WHERE database = {database:String} AND name IN {tables:Array(String)}",
        parameters={"database": settings.clickhouse_database, "tables": list(wanted)},
    ).result_rows
    for table, is_on in found:
        if bool(is_on) != wanted[table]:
            to = int(wanted[table])
            client.command(
                f"ALTER TABLE {values['database']}.{table} {values['on_cluster']} "
                f"MODIFY SETTING fsync_after_insert = {to}, fsync_part_directory = {to}"
            )
