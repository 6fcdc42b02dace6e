"""One INSERT at a time into ClickHouse, and certainty about what it left behind.

Every attempt has a query id of its own, which names the consumer group, the table and the partitions, so that it can be
killed by whoever owns the partitions next.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable, Sequence
from math import ceil
from typing import Any
from uuid import uuid4

import aiohttp
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from axonstream.clickhouse import codes
from axonstream.clickhouse.insert_body import send_insert
from axonstream.kafka.topics import Topics
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import (
    LedgerBrokenError,
    OutcomeUnknownError,
    OutOfTimeError,
    RowRefusedError,
    TableRefusesError,
    TooLateError,
)

CLICKHOUSE_ERRORS = (ClickHouseError, aiohttp.ClientError, TimeoutError, OSError)

# Codes with which ClickHouse refuses the data of a batch, and not its own state.
_DATA_CODES = frozenset(
    {
        codes.CANNOT_PARSE_TEXT,
        codes.CANNOT_PARSE_QUOTED_STRING,
        codes.CANNOT_PARSE_INPUT_ASSERTION_FAILED,
        codes.CANNOT_PARSE_DATE,
        codes.CANNOT_PARSE_DATETIME,
        codes.TYPE_MISMATCH,
        codes.ARGUMENT_OUT_OF_BOUND,
        codes.CANNOT_CONVERT_TYPE,
        codes.CANNOT_PARSE_NUMBER,
        codes.INCORRECT_DATA,
        codes.CANNOT_READ_ARRAY_FROM_TEXT,
        codes.TOO_LARGE_STRING_SIZE,
        codes.VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE,
        codes.CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN,
        codes.FUNCTION_THROW_IF_VALUE_IS_NON_ZERO,
        codes.DECIMAL_OVERFLOW,
        codes.CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING,
        codes.CANNOT_PARSE_BOOL,
        codes.VIOLATED_CONSTRAINT,
        codes.UNKNOWN_ELEMENT_OF_ENUM,
    }
)
# A column, a table or the database is not there.
_TABLE_CODES = frozenset(
    {
        codes.THERE_IS_NO_COLUMN,
        codes.NOT_FOUND_COLUMN_IN_BLOCK,
        codes.NO_SUCH_COLUMN_IN_TABLE,
        codes.UNKNOWN_IDENTIFIER,
        codes.UNKNOWN_TABLE,
        codes.UNKNOWN_DATABASE,
    }
)
# ClickHouse's own limits of time; the client's timeout is the other one.
_TIME_CODES = frozenset({codes.TIMEOUT_EXCEEDED, codes.TOO_SLOW, codes.SOCKET_TIMEOUT})
TOO_LATE = "this INSERT comes too late"  # of the fence in the table (migration 0009)
_ROW = re.compile(r"\(at row (\d+)\)")
_ID = re.compile(r"(?P<group>.*)/(?P<table>\w+)/(?P<partitions>[\d.]*)/\w+", re.DOTALL)


class TableWriter:
    """INSERTs of JSONEachRow bodies. Does not retry: that is decided where the ledger is."""

    def __init__(self, client: AsyncClient, settings: Settings) -> None:
        self._client = client
        self._group = Topics(settings.topic_prefix).sink_group
        self._timeout_s = settings.insert_timeout_ms / 1000
        self._settings: dict[str, Any] = {
            "async_insert": 0,
            "insert_deduplicate": 0,
            "max_execution_time": ceil(self._timeout_s),
            "max_partitions_per_insert_block": 0,
            "input_format_parallel_parsing": 0,  # row numbers in errors are those of the batch, and it is one block
            "input_format_skip_unknown_fields": 0,
            "input_format_null_as_default": 0,
            "input_format_allow_errors_num": 0,
            "input_format_allow_errors_ratio": 0,
            "input_format_json_read_objects_as_strings": 1,
            "date_time_input_format": "basic",
        }

    async def insert(self, table: str, columns: str, lines: Sequence[bytes], partitions: Iterable[int]) -> None:
        """Returns when ClickHouse has acknowledged every line.

        Raises RowRefusedError for data that it cannot read, TableRefusesError when the table is not what it should be,
        OutOfTimeError, OutcomeUnknownError for all else, and LedgerBrokenError when it stored more rows than it was
        given. `send_insert` is used because clickhouse-connect's own `raw_insert` sends the rows again by itself when
        the connection breaks.
        """
        query_id = self._query_id(table, partitions)
        try:
            async with asyncio.timeout(self._timeout_s):
                written = await send_insert(
                    self._client,
                    f"INSERT INTO {table} ({columns}) FORMAT JSONEachRow",
                    lines,
                    self._settings | {"query_id": query_id},
                )
        except Error as error:
            text = str(error)
            row = _ROW.search(text)
            if TOO_LATE in text:
                raise TooLateError(text) from error
            if error.code in _DATA_CODES:
                raise RowRefusedError(int(row[1]) if row else None, text) from error
            if error.code in _TABLE_CODES:
                raise TableRefusesError(
                    f"{table} cannot take what this sink writes: {text[:500]}. Nothing is set aside or committed. "
                    "Mend the table or the materialized view that is named, and start the sink again"
                ) from error
            raise (OutOfTimeError if error.code in _TIME_CODES else OutcomeUnknownError)(text) from error
        except TimeoutError as error:
            raise OutOfTimeError(f"no answer within {self._timeout_s} s") from error
        except CLICKHOUSE_ERRORS as error:
            raise OutcomeUnknownError(f"no answer: {error!r}") from error
        if written > len(lines) and not await self._feeds_views(table):
            raise LedgerBrokenError(f"ClickHouse made {written} rows of {len(lines)} in {table} (query {query_id})")
        if written < len(lines):
            raise OutcomeUnknownError(f"ClickHouse acknowledged {written} rows of {len(lines)}")

    async def _feeds_views(self, table: str) -> bool:
        """Whether an operator has put materialized views on the table: ClickHouse counts their rows as written, too."""
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self._client.query(
                    "SELECT notEmpty(dependencies_table) FROM system.tables "
                    "WHERE database = currentDatabase() AND name = {table:String}",
                    parameters={"table": table},
                )
        except CLICKHOUSE_ERRORS as error:
            raise OutcomeUnknownError(f"no answer: {error!r}") from error
        return bool(found.result_rows and found.result_rows[0][0])

    async def kill(self, table: str, partitions: Collection[int]) -> None:
        """Returns when no INSERT of this group into `table` that touches one of `partitions` is running.

        Raises one of CLICKHOUSE_ERRORS when ClickHouse does not answer: then nothing is certain.
        """
        async with asyncio.timeout(2 * self._timeout_s):
            found = await self._client.query(
                "SELECT query_id FROM system.processes WHERE startsWith(query_id, {group:String})",
                parameters={"group": f"{self._group}/{table}/"},
            )
            for query_id in [row[0] for row in found.result_rows if partitions_of(row[0]) & set(partitions)]:
                await self._client.command(
                    "KILL QUERY WHERE query_id = {query_id:String} SYNC", parameters={"query_id": query_id}
                )

    def _query_id(self, table: str, partitions: Iterable[int]) -> str:
        return f"{self._group}/{table}/{'.'.join(map(str, sorted(partitions)))}/{uuid4().hex}"


def partitions_of(query_id: str) -> set[int]:
    """The partitions that an INSERT of the sink named in its query id."""
    found = _ID.fullmatch(query_id)
    return {int(number) for number in found["partitions"].split(".") if number} if found else set()
