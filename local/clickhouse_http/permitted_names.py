"""What a statement may name: functions, table functions, tables of the server, engines, codecs. All of it by list.

The lists of functions are files, permitted/*.txt: together they name every function of the engine, and a test compares
them with `system.functions`, so that no function of a new engine is allowed before somebody has looked at it.
"""

from __future__ import annotations

from pathlib import Path

_LISTS = Path(__file__).parent / "permitted"


def names_of(list_name: str) -> frozenset[str]:
    """The names in permitted/<list_name>.txt, as they are written there."""
    return frozenset((_LISTS / f"{list_name}.txt").read_text(encoding="utf-8").split())


SLEEPING = frozenset({"sleep", "sleepeachrow"})  # in statements that may write: a reader must hold no slot for nothing
# What the parser makes of syntax, and system.functions does not name.
_SYNTAX = frozenset({"lambda", "exists", "grouping", "untuple"})
_REFUSED = frozenset(name.lower() for name in names_of("functions_refused"))
_ALLOWED = (frozenset(name.lower() for name in names_of("functions")) | SLEEPING | _SYNTAX) - _REFUSED
# Of aggregate functions: sumIf, uniqExactState. Scalar functions have none: `fileIf` would have to exist to do harm.
_COMBINATORS = (
    *("simplestate", "ordefault", "distinct", "resample", "foreach", "argmax", "argmin", "ornull"),
    *("tuple", "merge", "state", "array", "null", "map", "if"),
)

TABLE_FUNCTIONS = frozenset(
    {"generaterandom", "generateseries", "generate_series", "null", "numbers", "numbers_mt", "primes"}
    | {"sqlstandardvalues", "values", "view", "zeros", "zeros_mt"}
)
# `x IN format(...)` is the table function, which evaluates what its text says, and not the function of that name.
BOTH_KINDS = frozenset({"file", "format", "fuzzquery"})

ENGINES = frozenset(
    {"MergeTree", "ReplacingMergeTree", "SummingMergeTree", "AggregatingMergeTree", "CollapsingMergeTree"}
    | {"VersionedCollapsingMergeTree", "CoalescingMergeTree", "Memory", "Null", "Log", "TinyLog", "StripeLog"}
    | {"Set", "Join", "Atomic"}  # Atomic is of databases
)
CODECS = frozenset(
    {"codec", "default", "none", "lz4", "lz4hc", "zstd", "delta", "doubledelta", "gorilla", "fpc", "t64", "gcd", "alp"}
)
INDEXES = frozenset(
    {"minmax", "set", "bloom_filter", "ngrambf_v1", "tokenbf_v1", "sparse_grams", "text", "vector_similarity"}
)

SYSTEM_DATABASES = frozenset({"system", "information_schema"})
_SYSTEM_TABLES = frozenset(
    {"aggregate_function_combinators", "asynchronous_metrics", "build_options", "codecs", "collations", "columns"}
    | {"completions", "constraints", "contributors", "current_roles", "data_skipping_indices", "data_type_families"}
    | {"database_engines", "databases", "documentation", "enabled_roles", "errors", "events", "formats", "functions"}
    | {"histogram_metrics", "keywords", "licenses", "merge_tree_settings", "merges", "metrics", "mutations", "numbers"}
    | {"numbers_mt", "one", "parts", "parts_columns", "processes", "projection_parts", "projection_parts_columns"}
    | {"projections", "settings", "table_engines", "table_functions", "tables", "time_zones", "tokenizers"}
    | {"view_refreshes", "zeros", "zeros_mt"}
)
_INFORMATION_SCHEMA = frozenset(
    {"character_sets", "collations", "columns", "engines", "key_column_usage", "referential_constraints", "schemata"}
    | {"statistics", "tables", "views"}
)


def is_allowed_function(name: str) -> bool:
    """Whether a statement may call it; a name of an aggregate function may end in combinators."""
    word = name.lower()
    while word not in _ALLOWED and word not in _REFUSED:
        ending = next((ending for ending in _COMBINATORS if word.endswith(ending) and word != ending), None)
        if ending is None:
            return False
        word = word.removesuffix(ending)
    return word in _ALLOWED


def is_refused_function(name: str) -> bool:
    """Whether the engine has it, and it is not allowed; the other names that are not allowed are unknown."""
    return name.lower() in _REFUSED


def is_allowed_system_table(database: str, table: str) -> bool:
    """Of the databases that the server makes by itself."""
    allowed = _SYSTEM_TABLES if database.lower() == "system" else _INFORMATION_SCHEMA
    return table.lower() in allowed
