"""A ClickHouse exception as the HTTP interface tells it: code, HTTP status and wording.

ClickHouseError        every refusal and every failure of the engine
DirectoryInUseError    another process has the data directory (axonstream.local.clickhouse_http.server)
OpenToAllError         the server would listen beyond this machine without a password
"""

from __future__ import annotations

import re

CANNOT_READ_ALL_DATA = 33
BAD_ARGUMENTS = 36
UNKNOWN_FUNCTION = 46
SYNTAX_ERROR = 62
UNKNOWN_SETTING = 115
READONLY = 164
TOO_MANY_SIMULTANEOUS_QUERIES = 202
SOCKET_TIMEOUT = 209
QUERY_ID_IS_RUNNING = 216
QUERY_IS_TOO_LARGE = 223
MEMORY_LIMIT_EXCEEDED = 241
CANNOT_DECOMPRESS = 271
SESSION_NOT_FOUND = 372
SESSION_IS_LOCKED = 373
NOT_IMPLEMENTED = 48
ACCESS_DENIED = 497
AUTHENTICATION_FAILED = 516
ABORTED = 236
POCO_EXCEPTION = 1000
TOO_DEEP_RECURSION = 306
_UNKNOWN = 1002

# After exceptionCodeToHTTPStatus() of ClickHouse; what is not named is 500.
_STATUS = {
    **dict.fromkeys((192, 193, ACCESS_DENIED, AUTHENTICATION_FAILED), 403),
    **dict.fromkeys((30, UNKNOWN_FUNCTION, 47, 50, 56, 60, 63, 73, 78, 81, UNKNOWN_SETTING, 336), 404),
    **dict.fromkeys(
        (6, 8, 15, 25, 26, 27, CANNOT_READ_ALL_DATA, BAD_ARGUMENTS, 38, 41, 44, 53, 55, SYNTAX_ERROR, 65, 66, 72, 117),
        400,
    ),
    **dict.fromkeys((167, 168, CANNOT_DECOMPRESS, 321, 376, 427, 441, 675, 676), 400),
    NOT_IMPLEMENTED: 501,
    194: 401,
    159: 408,
    SOCKET_TIMEOUT: 408,
    381: 411,
    QUERY_IS_TOO_LARGE: 413,
    MEMORY_LIMIT_EXCEEDED: 503,
    TOO_MANY_SIMULTANEOUS_QUERIES: 503,
    ABORTED: 503,
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
        told = cls(int(found[1]) if found else _UNKNOWN, str(error).strip(), "UNKNOWN_EXCEPTION")
        if found:
            told.text = found[0].strip()
        return told


class OpenToAllError(Exception):
    """Everybody who reaches the port would own the data; the message says what to do."""


class DirectoryInUseError(Exception):
    """The data directory cannot be opened; the message says what to do."""
