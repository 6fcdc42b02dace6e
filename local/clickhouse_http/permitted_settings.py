"""Which settings a request may change. Some name files and addresses, some hold SQL, some choose another parser.

Told by the type that the engine gives them: numbers, times, switches and named choices do neither, but for the few that
are listed. A text may do anything, so the texts that are allowed are listed.
"""

from __future__ import annotations

from collections.abc import Mapping

from axonstream.clickhouse.codes import ACCESS_DENIED, UNKNOWN_SETTING
from axonstream.local.clickhouse_http.clickhouse_error import ClickHouseError

_TYPES_THAT_NAME_OR_PARSE = frozenset({"String", "URI", "Map", "Dialect", "SQLSecurityType", "DefaultDatabaseEngine"})
_ALLOWED_TEXTS = frozenset(
    {"bool_false_representation", "bool_true_representation", "column_names_for_schema_inference", "compatibility"}
    | {"count_distinct_implementation", "default_format", "force_data_skipping_indices"}
    | {"force_optimize_projection_name", "format_csv_null_representation", "format_custom_field_delimiter"}
    | {"format_custom_result_after_delimiter", "format_custom_result_before_delimiter"}
    | {"format_custom_row_after_delimiter", "format_custom_row_before_delimiter"}
    | {"format_custom_row_between_delimiter", "format_json_object_each_row_column_for_object_name", "format_regexp"}
    | {"format_tsv_null_representation", "ignore_data_skipping_indices", "insert_deduplication_token", "log_comment"}
    | {"network_compression_method", "output_format_pretty_grid_charset", "output_format_sql_insert_table_name"}
    | {"preferred_optimize_projection_name", "query_cache_tag", "schema_inference_hints"}
)
# The statement would be parsed differently from how it was judged, or the data of VALUES would be evaluated.
_CHANGES_PARSING = frozenset(
    {"allow_settings_after_format_in_insert", "implicit_select", "allow_introspection_functions"}
    | {"input_format_values_interpret_expressions", "input_format_values_deduce_templates_of_expressions"}
)
# The engine would run statements of its own making after this one, which nobody has judged.
_RUNS_MORE = frozenset({"ast_fuzzer_runs", "ast_fuzzer_any_query", "ast_fuzzer_oracle"})
_ALLOWED_OF_TABLES = frozenset({"auto_statistics_types", "default_compression_codec"})
_WITHOUT_TYPE = frozenset({"profile"})  # a server takes it in the URL like a setting


class PermittedSettings:
    """Made from the engine's own lists, `name` -> `type`: of system.settings and of system.merge_tree_settings."""

    def __init__(self, of_queries: Mapping[str, str], of_tables: Mapping[str, str]) -> None:
        self._of_queries = of_queries
        self._of_tables = of_tables

    def check(self, name: str) -> None:
        """Raises ClickHouseError when a request may not change this setting, or there is none of this name."""
        if name in _WITHOUT_TYPE:
            return
        if name not in self._of_queries:
            raise ClickHouseError(UNKNOWN_SETTING, f"Unknown setting {name!a}.", "UNKNOWN_SETTING")
        if name in _ALLOWED_TEXTS:
            return
        changes_what_runs = name in _CHANGES_PARSING | _RUNS_MORE or "dialect" in name
        if changes_what_runs or self._of_queries[name] in _TYPES_THAT_NAME_OR_PARSE:
            raise _refused(name)

    def check_of_table(self, name: str) -> None:
        """The same for the settings of a table: a disk may lie anywhere. Those of queries may stand there, too."""
        if name in self._of_tables:
            if self._of_tables[name] in _TYPES_THAT_NAME_OR_PARSE and name not in _ALLOWED_OF_TABLES:
                raise _refused(name)
        else:
            self.check(name)


def _refused(name: str) -> ClickHouseError:
    return ClickHouseError(
        ACCESS_DENIED,
        f"The setting {name} is not allowed here: such a setting can name a file or an address, hold SQL, or change "
        "what runs.",
        "ACCESS_DENIED",
    )
