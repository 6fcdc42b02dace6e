"""A ClickHouse exception as the HTTP interface tells it: code, HTTP status and wording.

ClickHouseError        every refusal and every failure of the engine
DirectoryInUseError    another process has the data directory (axonstream.local.clickhouse_http.server)
OpenToAllError         the server would listen beyond this machine without a password
"""

from __future__ import annotations

import re

from axonstream.clickhouse import codes

QUERY_IS_TOO_LARGE = 223

# After exceptionCodeToHTTPStatus() of ClickHouse; what is not named is 500.
_STATUS = {
    **dict.fromkeys(
        (
            codes.UNKNOWN_USER,
            codes.WRONG_PASSWORD,
            codes.ACCESS_DENIED,
            codes.AUTHENTICATION_FAILED,
        ),
        403,
    ),
    **dict.fromkeys(
        (
            30,
            codes.UNKNOWN_FUNCTION,
            codes.UNKNOWN_IDENTIFIER,
            codes.UNKNOWN_TYPE,
            codes.UNKNOWN_STORAGE,
            codes.UNKNOWN_TABLE,
            codes.UNKNOWN_AGGREGATE_FUNCTION,
            codes.UNKNOWN_FORMAT,
            codes.UNKNOWN_TYPE_OF_QUERY,
            codes.UNKNOWN_DATABASE,
            codes.UNKNOWN_SETTING,
            codes.UNKNOWN_DATABASE_ENGINE,
        ),
        404,
    ),
    **dict.fromkeys(
        (
            codes.CANNOT_PARSE_TEXT,
            codes.THERE_IS_NO_COLUMN,
            codes.DUPLICATE_COLUMN,
            codes.CANNOT_PARSE_ESCAPE_SEQUENCE,
            codes.CANNOT_PARSE_QUOTED_STRING,
            codes.CANNOT_PARSE_INPUT_ASSERTION_FAILED,
            codes.CANNOT_READ_ALL_DATA,
            codes.BAD_ARGUMENTS,
            codes.CANNOT_PARSE_DATE,
            codes.CANNOT_PARSE_DATETIME,
            codes.ILLEGAL_COLUMN,
            codes.TYPE_MISMATCH,
            codes.STORAGE_REQUIRES_PARAMETER,
            codes.SYNTAX_ERROR,
            65,
            66,
            codes.CANNOT_PARSE_NUMBER,
            codes.INCORRECT_DATA,
        ),
        400,
    ),
    **dict.fromkeys(
        (
            codes.TOO_DEEP_AST,
            codes.TOO_BIG_AST,
            codes.CANNOT_DECOMPRESS,
            codes.VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE,
            codes.CANNOT_PARSE_UUID,
            codes.CANNOT_COMPILE_REGEXP,
            codes.CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING,
            codes.CANNOT_PARSE_IPV4,
            codes.CANNOT_PARSE_IPV6,
        ),
        400,
    ),
    codes.NOT_IMPLEMENTED: 501,
    codes.REQUIRED_PASSWORD: 401,
    codes.TIMEOUT_EXCEEDED: 408,
    codes.SOCKET_TIMEOUT: 408,
    codes.HTTP_LENGTH_REQUIRED: 411,
    QUERY_IS_TOO_LARGE: 413,
    codes.MEMORY_LIMIT_EXCEEDED: 503,
    codes.TOO_MANY_SIMULTANEOUS_QUERIES: 503,
    codes.ABORTED: 503,
}
_ENGINE_MESSAGE = re.compile(r"Code: (\d+)\. DB::.*", re.DOTALL)


class ClickHouseError(Exception):
    """One exception: `code` is ClickHouse's, `status` the HTTP status, `text` the wording with the code in front."""

    def __init__(self, code: int, message: str, name: str) -> None:
        self.code = code
        self.text = f"Code: {code}. DB::Exception: {message} ({name})"
        self.status = _STATUS.get(code, 500)
        super().__init__(self.text)

    @classmethod
    def of_engine(cls, error: Exception) -> ClickHouseError:
        """What chdb raised, with its own code when it names one."""
        found = _ENGINE_MESSAGE.search(str(error))
        told = cls(int(found[1]) if found else codes.UNKNOWN_EXCEPTION, str(error).strip(), "UNKNOWN_EXCEPTION")
        if found:
            told.text = found[0].strip()
        return told


class OpenToAllError(Exception):
    """Everybody who reaches the port would own the data; the message says what to do."""


class DirectoryInUseError(Exception):
    """The data directory cannot be opened; the message says what to do."""
