"""Lists of texts as values of a query: in pieces, because ClickHouse bounds the size of one value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

# ClickHouse refuses a value of more than http_max_field_value_size, 128 KiB: https://clickhouse.com/docs/operations/settings/settings
MOST_BYTES_OF_A_VALUE = 120_000
_MOST_BYTES_OF_A_BYTE = 4  # a backslash is escaped in the literal, and each of the two once more in the value
_AROUND_A_TEXT = 8  # quotes, escaped or not, and what stands between two texts


def pieces(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts, in order, in lists that each fit into one value whatever is in them; none when there are none."""
    piece: list[str] = []
    size = 0
    for text in texts:
        each = 1 if _is_plain(text) else _MOST_BYTES_OF_A_BYTE
        more = _AROUND_A_TEXT + each * len(text.encode("utf-8", "surrogatepass"))
        if piece and size + more > MOST_BYTES_OF_A_VALUE:
            yield piece
            piece, size = [], 0
        piece.append(text)
        size += more
    if piece:
        yield piece


def _is_plain(text: str) -> bool:
    """Whether nothing of it is escaped."""
    return text.isascii() and text.isprintable() and "\\" not in text and "'" not in text
