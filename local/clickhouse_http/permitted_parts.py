"""Which kinds of statements there may be, and which parts of them, by the names that the engine's parser gives them."""

from __future__ import annotations

from axonstream.local.clickhouse_http.statement_tree import PLAIN

READING = frozenset(
    {"SelectWithUnionQuery", "ExplainQuery", "ShowTablesQuery", "ShowColumnsQuery", "ShowIndexesQuery"}
    | {"CheckTableQuery", PLAIN}
)
CHANGING = frozenset(
    {"InsertQuery", "CreateQuery", "AlterQuery", "DropQuery", "RenameQuery", "OptimizeQuery", "DeleteQuery"}
    | {"UpdateQuery", "UseQuery", "KillQueryQuery", "SetQuery"}
)
PARTS = frozenset(
    {"SelectQuery", "SelectIntersectExceptQuery", "ExpressionList", "Function", "Identifier", "TableIdentifier"}
    | {"Literal", "QueryParameter", "Asterisk", "QualifiedAsterisk", "ColumnsRegexpMatcher", "ColumnsListMatcher"}
    | {"QualifiedColumnsRegexpMatcher", "QualifiedColumnsListMatcher", "ColumnsTransformerList", "TableJoin"}
    | {"ColumnsApplyTransformer", "ColumnsExceptTransformer", "ColumnsReplaceTransformer", "ArrayJoin", "Subquery"}
    | {"ColumnsReplaceTransformerReplacement", "TablesInSelectQuery", "TablesInSelectQueryElement", "TableExpression"}
    | {"WithElement", "WindowListElement", "WindowDefinition", "OrderByElement", "InterpolateElement", "SampleRatio"}
    | {"DataType", "Collation", "Columns definition", "ColumnDeclaration", "IndexDeclaration", "Storage", "TTLElement"}
    | {"ConstraintDeclaration", "ProjectionDeclaration", "ProjectionSelectQuery", "StorageOrderByElement"}
    | {"AlterCommand", "Assignment", "Partition", "ViewTargets", "NameTypePair"}
)
ALTERATIONS = frozenset(
    {"ADD_COLUMN", "DROP_COLUMN", "MODIFY_COLUMN", "COMMENT_COLUMN", "RENAME_COLUMN", "MATERIALIZE_COLUMN"}
    | {"ADD_INDEX", "DROP_INDEX", "MATERIALIZE_INDEX", "ADD_CONSTRAINT", "DROP_CONSTRAINT", "ADD_PROJECTION"}
    | {"DROP_PROJECTION", "MATERIALIZE_PROJECTION", "MODIFY_TTL", "MATERIALIZE_TTL", "REMOVE_TTL", "MODIFY_SETTING"}
    | {"RESET_SETTING", "MODIFY_QUERY", "MODIFY_COMMENT", "MODIFY_ORDER_BY", "MODIFY_SAMPLE_BY", "DELETE", "UPDATE"}
    | {"DROP_PARTITION", "DROP_DETACHED_PARTITION", "APPLY_DELETED_MASK"}
)
EXPLANATIONS = frozenset(
    {"EXPLAIN", "EXPLAIN AST", "EXPLAIN SYNTAX", "EXPLAIN QUERY TREE", "EXPLAIN PIPELINE", "EXPLAIN ESTIMATE"}
)
NEVER = {
    "attach": "ATTACH",
    "has_attach_from_path": "ATTACH ... FROM",
    "is_dictionary": "a dictionary",
    "is_time_series_table": "a TimeSeries table",
    "out_file": "INTO OUTFILE",
    "table_override": "TABLE OVERRIDE",
}
