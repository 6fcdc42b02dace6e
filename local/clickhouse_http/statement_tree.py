"""What the engine's own parser makes of a statement: its syntax tree, as `parseQueryToJSON` tells it.

The text goes in as a value (base64, so that nothing in it can end it), and comes back as a tree; nothing of it is run.
So there is one parser only: what is judged is what runs. Text that holds two statements is refused by the parser.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from axonstream.clickhouse.codes import BAD_ARGUMENTS, NOT_IMPLEMENTED
from axonstream.local.clickhouse_http.clickhouse_error import ClickHouseError

Tree = dict[str, Any]

_NO_TREE = "does not support JSON serialization"
_SCOPE = re.compile(r": In scope SELECT \w+\(base64Decode\('[^']*'\)\)")
_NAME = r"(?:[A-Za-z_]\w*|`[\w $-]+`)"
# Statements that have no JSON (engine 26.9) and are needed. This is matched against what the engine itself writes for
# the tree: one line, names quoted where they are odd, no comment.
_WITHOUT_JSON = re.compile(
    rf"""(?: (?:DESCRIBE\ TABLE | EXISTS\ (?:TABLE|VIEW) | SHOW\ CREATE\ (?:TABLE|VIEW))
             \ (?P<table>{_NAME}(?:\.{_NAME})?)
           | (?:EXISTS | SHOW\ CREATE)\ DATABASE\ {_NAME}
           | SHOW\ (?:FUNCTIONS|ENGINES|PROCESSLIST)
         )(?:\s+FORMAT\ \w+)?""",
    re.VERBOSE,
)
PLAIN = "plain"  # the type of the tree of such a statement


def tree_of(sql: str, ask: Callable[[str], bytes]) -> Tree:
    """The tree of one statement. `ask` runs a SELECT of ours and returns its one value.

    Raises ClickHouseError: the syntax error of the engine, or NOT_IMPLEMENTED for a statement that has no tree.
    """
    text = b64encode(sql.encode()).decode()
    try:
        # '\\xff' in a literal is a byte that is not UTF-8; no name that is listed has one.
        return json.loads(ask(f"SELECT parseQueryToJSON(base64Decode('{text}'))").decode(errors="replace"))
    except ClickHouseError as error:
        error.text = _SCOPE.sub("", error.text)
        if error.code != BAD_ARGUMENTS:
            raise
        if _NO_TREE not in error.text:
            raise
    written = ask(f"SELECT formatQuerySingleLine(base64Decode('{text}'))").decode(errors="replace").strip()
    found = _WITHOUT_JSON.fullmatch(written)
    if found is None:
        raise ClickHouseError(
            NOT_IMPLEMENTED,
            "This kind of statement is not allowed here, or not in this form. Of a table you may ask for DESCRIBE "
            "TABLE, EXISTS TABLE and SHOW CREATE TABLE, each with its plain name.",
            "NOT_IMPLEMENTED",
        )
    parts = [part.strip("`") for part in (found["table"] or "").split(".")] if found["table"] else []
    return {"type": PLAIN, "table": {"type": "TableIdentifier", "name": ".".join(parts), "name_parts": parts}}
