"""Whether a statement is allowed: every part of its syntax tree is looked at, and what is not listed is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

from axonstream.clickhouse.codes import ACCESS_DENIED, BAD_ARGUMENTS, NOT_IMPLEMENTED, READONLY, UNKNOWN_FUNCTION
from axonstream.local.clickhouse_http.clickhouse_error import ClickHouseError
from axonstream.local.clickhouse_http.permitted_names import (
    BOTH_KINDS,
    CODECS,
    ENGINES,
    INDEXES,
    SLEEPING,
    SYSTEM_DATABASES,
    TABLE_FUNCTIONS,
    is_allowed_function,
    is_allowed_system_table,
    is_refused_function,
)
from axonstream.local.clickhouse_http.permitted_parts import (
    ALTERATIONS,
    CHANGING,
    EXPLANATIONS,
    NEVER,
    PARTS,
    READING,
)
from axonstream.local.clickhouse_http.permitted_settings import PermittedSettings
from axonstream.local.clickhouse_http.statement_tree import Tree

# A name may be a path to the engine's default database. It is of the working directory, which is empty (server.py).
_PLAIN_NAME = re.compile(r"[^/.\x00-\x1f\x7f]+")
_IN = re.compile(r"(global)?(not)?(null)?in(ignoreset)?", re.IGNORECASE)
_SCALARS = frozenset({"UInt64", "Int64", "Float64", "Bool", "String"})
_WHERE = "docs/sql.md lists what is allowed."


@dataclass(frozen=True)
class Permission:
    """What was found in a statement that is allowed.

    `changes_connection`: it leaves something behind on its connection that the next borrower must not see.
    `identifiers`: the parameters that are names; `infile` and `format` are of an INSERT.
    """

    reads: bool
    sleeps: bool
    changes_connection: bool
    identifiers: frozenset[str]
    infile: str | None
    data_format: str | None

    def check(self, params: Mapping[str, str], *, readonly: bool) -> None:
        """Raises ClickHouseError when it is not allowed with these parameters, or in a request that only reads."""
        names = [params.get(name, "") for name in self.identifiers]
        for name in names:
            check_name(name)
            check_value(name)
        if readonly and not self.reads:
            raise ClickHouseError(READONLY, "Cannot execute query in readonly mode.", "READONLY")
        if readonly and (self.sleeps or not SLEEPING.isdisjoint(name.lower() for name in names)):
            _refuse("The function sleep() is not allowed in a request that only reads.")


def permission(tree: Tree, settings: PermittedSettings) -> Permission:
    """What the tree of a whole statement does. Raises ClickHouseError that names the first part that is not allowed."""
    root = tree["type"]
    if root not in READING | CHANGING:
        raise ClickHouseError(NOT_IMPLEMENTED, f"{root} is not allowed here. {_WHERE}", "NOT_IMPLEMENTED")
    walk = _Walk(settings, changes=root in CHANGING)
    infile: str | None = None
    if root == "InsertQuery" and "infile" in tree:
        infile = str(tree["infile"]["value"]["value"])
        tree = {name: part for name, part in tree.items() if name != "infile"}
    walk.node(tree)
    return Permission(
        reads=root in READING,
        sleeps=walk.sleeps,
        changes_connection=root in ("SetQuery", "UseQuery") or bool(tree.get("is_temporary")),
        identifiers=frozenset(walk.identifiers),
        infile=infile,
        data_format=cast("str | None", tree.get("format")),
    )


def check_name(name: str) -> None:
    """Of a database, a table or a column that comes as a parameter, and of the database of a request."""
    if not _PLAIN_NAME.fullmatch(name):
        _refuse(f"The name {name!a} is not allowed here: the engine might take it for a file.")
    if name.lower() in SYSTEM_DATABASES:
        _refuse(f"The database {name} cannot be chosen for a request: write {name}.<table> in the statement.")


def check_value(name: str) -> None:
    """Of a plain name that stands where a value does. Raises ClickHouseError when it is that of a refused function."""
    if is_refused_function(name):
        _refuse(
            f"The name {name} is not allowed here: the engine might take it for the function {name}(). Of a column, "
            f"write the name of its table in front: <table>.{name}."
        )


def _refuse(what: str) -> NoReturn:
    raise ClickHouseError(ACCESS_DENIED, what, "ACCESS_DENIED")


@dataclass
class _Walk:
    settings: PermittedSettings
    changes: bool
    sleeps: bool = False
    identifiers: set[str] = field(default_factory=set[str])

    def node(self, tree: Tree) -> None:
        kind = str(tree.get("type", ""))
        if kind == "Literal":
            return
        if kind and kind not in READING | CHANGING | PARTS:
            raise ClickHouseError(NOT_IMPLEMENTED, f"{kind} is not allowed here. {_WHERE}", "NOT_IMPLEMENTED")
        for key, what in NEVER.items():
            if tree.get(key):
                raise ClickHouseError(NOT_IMPLEMENTED, f"{what} is not allowed here.", "NOT_IMPLEMENTED")
        if "infile" in tree:
            raise ClickHouseError(NOT_IMPLEMENTED, "FROM INFILE is not allowed here.", "NOT_IMPLEMENTED")
        if look := self._looks().get(kind):
            look(tree)
        for key, part in tree.items():
            if isinstance(part, dict):
                self._part(kind, key, cast("Tree", part))
            elif isinstance(part, str) and part and ("table" in key or "database" in key):  # to_table, table_database
                self._table([part])
                self._changed(key, part)
            elif isinstance(part, str) and key == "func_name":
                self._function_name(part)
            else:
                self._any(part)

    def _part(self, of: str, key: str, part: Tree) -> None:
        """A part whose meaning is told by its place: the same name may be a function, an engine or a codec."""
        if key in ("table_function", "as_table_function"):
            self._named(part, TABLE_FUNCTIONS, "The table function {}() is not allowed here.")
        elif key == "engine":
            self._engine(part)
        elif key == "codec":
            self._codec(part)
        elif key == "index_type":
            self._named(part, INDEXES, "An index of the type {} is not allowed here.")
        elif key == "settings" and of == "ExplainQuery":  # those of EXPLAIN itself: indexes, actions, graph
            return
        elif key in ("settings", "settings_changes") and of in ("Storage", "AlterCommand", "ColumnDeclaration"):
            self._set(part, self.settings.check_of_table)
        else:
            if key == "table":
                self._table(_name_parts(part))
            elif key == "parameters":
                self._values((part or {}).get("children", []))
            self._changed(key, str(part.get("name", "")))
            self.node(part)

    def _any(self, part: Any) -> None:
        if isinstance(part, dict):
            self.node(cast("Tree", part))
        elif isinstance(part, list):
            for one in cast("list[Any]", part):
                self._any(one)

    def _looks(self) -> dict[str, Callable[[Tree], None]]:
        return {
            "Function": self._function,
            "TableIdentifier": lambda tree: self._table(_name_parts(tree)),
            "DropQuery": self._drop,
            "QueryParameter": self._parameter,
            "SetQuery": lambda tree: self._set(tree, self.settings.check),
            "ExplainQuery": self._explain,
            "AlterCommand": self._alteration,
            "TTLElement": self._ttl,
            "UseQuery": lambda tree: check_name(str(tree["database"].get("name", ""))),
        }

    def _function(self, tree: Tree) -> None:
        name = str(tree["name"])
        self._function_name(name)
        arguments: list[Any] = (tree.get("arguments") or {}).get("children", [])
        self._values(arguments)
        if _IN.fullmatch(name) and len(arguments) == 2:
            right: Tree = arguments[1]
            if right.get("type") == "Identifier":
                self._table(_name_parts(right))
            elif right.get("type") == "Function" and str(right["name"]).lower() in BOTH_KINDS:
                _refuse(f"The table function {right['name']}() is not allowed here. {_WHERE}")

    def _values(self, arguments: list[Tree]) -> None:
        """The engine takes a plain name where a lambda may stand for the function of that name: arrayMap(file, ...)."""
        for argument in arguments:
            if argument.get("type") == "Identifier" and len(_name_parts(argument)) == 1:
                check_value(str(argument["name"]))
                self.sleeps |= str(argument["name"]).lower() in SLEEPING

    def _drop(self, tree: Tree) -> None:
        for table in (tree.get("database_and_tables") or {}).get("children", []):
            self._changed("database", _name_parts(table)[0])

    def _changed(self, key: str, name: str) -> None:
        """Of a statement that changes something; `as_database` is where it reads."""
        if self.changes and "database" in key and key != "as_database" and name.lower() in SYSTEM_DATABASES:
            _refuse(f"The database {name} belongs to the server: nothing in it can be changed.")

    def _function_name(self, name: str) -> None:
        if is_refused_function(name):
            _refuse(f"The function {name}() is not allowed here. {_WHERE}")
        if not is_allowed_function(name):
            raise ClickHouseError(UNKNOWN_FUNCTION, f"There is no function {name!a} here.", "UNKNOWN_FUNCTION")
        self.sleeps |= name.lower() in SLEEPING

    def _named(self, function: Tree, allowed: frozenset[str], refusal: str) -> None:
        if str(function["name"]).lower() not in allowed:
            _refuse(f"{refusal.format(function['name'])} {_WHERE}")
        self._inside(function)

    def _inside(self, function: Tree) -> None:
        """What stands in the brackets of a function that is not one of expressions."""
        for key, part in function.items():
            if key != "name":
                self._any(part)

    def _engine(self, engine: Tree) -> None:
        if engine["name"] not in ENGINES:
            raise ClickHouseError(
                NOT_IMPLEMENTED, f"The engine {engine['name']} is not allowed here. {_WHERE}", "NOT_IMPLEMENTED"
            )
        self._inside(engine)

    def _codec(self, codec: Tree) -> None:
        if str(codec["name"]).lower() not in CODECS:
            _refuse(f"The codec {codec['name']} is not allowed here.")
        for argument in (codec.get("arguments") or {}).get("children", []):
            if argument.get("type") == "Function":
                self._codec(argument)

    def _table(self, parts: list[str]) -> None:
        if len(parts) > 1 and parts[0].lower() in SYSTEM_DATABASES:
            if not is_allowed_system_table(parts[0], parts[1]):
                _refuse(f"The table {'.'.join(parts)} is not allowed here. {_WHERE}")
            return
        for name in parts:
            if name and not _PLAIN_NAME.fullmatch(name):
                _refuse(f"The name {name!a} is not allowed here: the engine might take it for a file.")

    def _parameter(self, tree: Tree) -> None:
        if tree.get("param_type") == "Identifier":
            self.identifiers.add(str(tree["name"]))

    def _set(self, tree: Tree, check: Callable[[str], None]) -> None:
        unknown = tree.keys() - {"type", "is_standalone", "changes", "default_settings"}
        if unknown:
            raise ClickHouseError(
                BAD_ARGUMENTS, f"SET cannot do this here: {', '.join(sorted(unknown))}.", "BAD_ARGUMENTS"
            )
        for change in tree.get("changes", []):
            check(str(change["name"]))
            if change["value"].get("field_type") not in _SCALARS:
                _refuse(f"The setting {change['name']} takes a number or a text here.")
        for name in tree.get("default_settings", []):
            check(str(name))

    def _explain(self, tree: Tree) -> None:
        if tree.get("kind") not in EXPLANATIONS or tree.get("query", {}).get("type") != "SelectWithUnionQuery":
            raise ClickHouseError(NOT_IMPLEMENTED, "EXPLAIN is of a SELECT only here.", "NOT_IMPLEMENTED")

    def _alteration(self, tree: Tree) -> None:
        if tree["command_type"] not in ALTERATIONS:
            raise ClickHouseError(
                NOT_IMPLEMENTED, f"ALTER {tree['command_type']} is not allowed here.", "NOT_IMPLEMENTED"
            )

    def _ttl(self, tree: Tree) -> None:
        if tree.get("destination_type", "DELETE") != "DELETE":
            raise ClickHouseError(NOT_IMPLEMENTED, "TTL deletes only here.", "NOT_IMPLEMENTED")


def _name_parts(tree: Tree) -> list[str]:
    return [str(part) for part in tree.get("name_parts") or [tree.get("name", "")]]
