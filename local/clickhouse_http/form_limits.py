"""The limits that a ClickHouse server sets for what comes in a URL or a form, at its defaults.

`http_max_fields`, `http_max_field_name_size` and `http_max_field_value_size` count what was sent, before %xx is decoded
(HTMLForm.cpp of ClickHouse); `http_max_uri_size` is in server.py. Whoever writes a query that works here, and would
fail on a server, should learn it here.
"""

from __future__ import annotations

from axonstream.clickhouse.codes import POCO_EXCEPTION
from axonstream.local.clickhouse_http.clickhouse_error import ClickHouseError

MAX_FIELDS = 1_000_000
MAX_FIELD_BYTES = 128 << 10


def check_url_fields(query_string: str) -> None:
    """Raises ClickHouseError for a parameter in the URL, as it was sent, that a server would not take."""
    if query_string.count("&") >= MAX_FIELDS:
        raise _refused("Too many form fields")
    for field in query_string.split("&"):
        name, _, value = field.partition("=")
        check_field(len(name), len(value))


def check_field(name_bytes: int, value_bytes: int) -> None:
    """The same for one field."""
    if name_bytes > MAX_FIELD_BYTES:
        raise _refused("Field name too long")
    if value_bytes > MAX_FIELD_BYTES:
        raise _refused("Field value too long")


def _refused(what: str) -> ClickHouseError:
    return ClickHouseError(POCO_EXCEPTION, f"HTML Form Exception: {what}", "POCO_EXCEPTION")
