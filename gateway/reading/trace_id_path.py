"""A trace id as a part of a path: anything that was percent-encoded, also "/" and a line feed."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor


class _TraceIdConvertor(Convertor[str]):
    regex = "(?s:.+)"  # Starlette's own `path` ends at a line feed

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


def register() -> None:
    """Make `{name:trace_id}` known to routes; doing it again changes nothing."""
    register_url_convertor("trace_id", _TraceIdConvertor())
