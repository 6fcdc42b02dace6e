-- The tables and views in ClickHouse as they are now, with the settings' defaults. For readers: the files in
-- migrations/ are what `axonstream init` applies. Written by `python docs/generate_schema.py`; a test compares it.

CREATE TABLE absent_offsets
(
    `_topic_epoch` UInt32,
    `_partition` UInt32,
    `first_offset` Int64,
    `last_offset` Int64,
    `found_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(found_at)
ORDER BY (_topic_epoch, _partition, first_offset, last_offset)
TTL toDateTime(least(found_at, toDateTime64('2100-01-01', 3, 'UTC'))) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 0, index_granularity = 8192;

CREATE TABLE dead_letter_decisions
(
    `topic` LowCardinality(String),
    `partition` UInt32,
    `offset` Int64,
    `decision` LowCardinality(String),
    `decided_at` DateTime64(3, 'UTC'),
    `_topic_epoch` UInt32
)
ENGINE = ReplacingMergeTree(decided_at)
ORDER BY (topic, _topic_epoch, partition, offset)
TTL toDateTime(least(decided_at, toDateTime64('2100-01-01', 3, 'UTC'))) + toIntervalDay(120)
SETTINGS non_replicated_deduplication_window = 0, index_granularity = 8192, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE dead_letters
(
    `topic` LowCardinality(String),
    `partition` UInt32,
    `offset` Int64,
    `key` String CODEC(ZSTD(1)),
    `value` String CODEC(ZSTD(1)),
    `reason` String CODEC(ZSTD(1)),
    `tenant_id` String,
    `trace_id` String,
    `failed_at` DateTime64(3, 'UTC'),
    `_topic_epoch` UInt32,
    `_stored_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, _topic_epoch, partition, offset)
TTL toDateTime(least(_stored_at, toDateTime64('2100-01-01', 3, 'UTC'))) + toIntervalDay(60)
SETTINGS non_replicated_deduplication_window = 0, index_granularity = 8192;

CREATE VIEW events
(
    `tenant_id` LowCardinality(String),
    `trace_id` String,
    `event_id` UInt64,
    `span_id` String,
    `parent_event_id` String,
    `parent_span_id` String,
    `channel_id` UInt64,
    `agent_id` LowCardinality(String),
    `event_type` LowCardinality(String),
    `identifier` String,
    `payload` String,
    `metadata` String,
    `dedup_key` String,
    `environment` LowCardinality(String),
    `session_id` String,
    `user_id` String,
    `customer` LowCardinality(String),
    `workflow` LowCardinality(String),
    `service_name` LowCardinality(String),
    `release` LowCardinality(String),
    `model` LowCardinality(String),
    `provider` LowCardinality(String),
    `input_tokens` Nullable(UInt64),
    `output_tokens` Nullable(UInt64),
    `cached_input_tokens` Nullable(UInt64),
    `reasoning_tokens` Nullable(UInt64),
    `cost_usd` Nullable(Decimal(18, 12)),
    `error_type` LowCardinality(String),
    `status` LowCardinality(String),
    `duration_ms` Nullable(UInt64),
    `source` LowCardinality(String),
    `occurred_at` DateTime64(3, 'UTC'),
    `received_at` DateTime64(3, 'UTC'),
    `_topic_epoch` UInt32,
    `_partition` UInt32,
    `_offset` Int64
)
AS SELECT * EXCEPT _stored_at
FROM events_log
ORDER BY
    tenant_id ASC,
    trace_id ASC,
    event_id ASC,
    _topic_epoch ASC,
    _partition ASC,
    _offset ASC
LIMIT 1 BY
    tenant_id,
    trace_id,
    event_id,
    if(dedup_key = '', _offset, -1);

CREATE TABLE events_log
(
    `v` UInt8 EPHEMERAL,
    `tenant_id` LowCardinality(String),
    `trace_id` String CODEC(ZSTD(1)),
    `event_id` UInt64 CODEC(ZSTD(1)),
    `span_id` String CODEC(ZSTD(1)),
    `parent_event_id` String CODEC(ZSTD(1)),
    `parent_span_id` String CODEC(ZSTD(1)),
    `channel_id` UInt64 CODEC(ZSTD(1)),
    `agent_id` LowCardinality(String),
    `event_type` LowCardinality(String),
    `identifier` String CODEC(ZSTD(1)),
    `payload` String CODEC(ZSTD(1)),
    `metadata` String CODEC(ZSTD(1)),
    `dedup_key` String CODEC(ZSTD(1)),
    `environment` LowCardinality(String),
    `session_id` String CODEC(ZSTD(1)),
    `user_id` String CODEC(ZSTD(1)),
    `customer` LowCardinality(String),
    `workflow` LowCardinality(String),
    `service_name` LowCardinality(String),
    `release` LowCardinality(String),
    `model` LowCardinality(String),
    `provider` LowCardinality(String),
    `input_tokens` Nullable(UInt64) CODEC(ZSTD(1)),
    `output_tokens` Nullable(UInt64) CODEC(ZSTD(1)),
    `cached_input_tokens` Nullable(UInt64) CODEC(ZSTD(1)),
    `reasoning_tokens` Nullable(UInt64) CODEC(ZSTD(1)),
    `cost_usd` Nullable(Decimal(18, 12)) CODEC(ZSTD(1)),
    `error_type` LowCardinality(String),
    `status` LowCardinality(String),
    `duration_ms` Nullable(UInt64) CODEC(ZSTD(1)),
    `source` LowCardinality(String),
    `occurred_at` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `received_at` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `_topic_epoch` UInt32 CODEC(Delta(4), ZSTD(1)),
    `_partition` UInt32 CODEC(Delta(4), ZSTD(1)),
    `_offset` Int64 CODEC(Delta(8), ZSTD(1)),
    `_stored_at` DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta(8), ZSTD(1)),
    `_insert_by` DateTime64(3, 'UTC') EPHEMERAL toDateTime64('2100-01-01', 3, 'UTC'),
    `_in_time` UInt8 MATERIALIZED throwIf(_insert_by < now64(3), 'this INSERT comes too late') CODEC(ZSTD(1)),
    INDEX position (_topic_epoch, _partition, _offset) TYPE minmax GRANULARITY 4,
    INDEX occurred_at occurred_at TYPE minmax GRANULARITY 1,
    PROJECTION hourly
    (
        SELECT
            tenant_id,
            toStartOfHour(occurred_at),
            agent_id,
            event_type,
            count()
        GROUP BY
            tenant_id,
            toStartOfHour(occurred_at),
            agent_id,
            event_type
    )
)
ENGINE = MergeTree
PARTITION BY toDate(received_at)
ORDER BY (tenant_id, trace_id, occurred_at, _partition, _offset)
TTL toDateTime(least(_stored_at, toDateTime64('2100-01-01', 3, 'UTC'))) + toIntervalDay(30)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0, index_granularity = 8192;

CREATE TABLE finished_deletions
(
    `id` UInt64,
    `finished_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY id
SETTINGS index_granularity = 8192;

CREATE TABLE installation
(
    `id` String,
    `made_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY id
SETTINGS non_replicated_deduplication_window = 0, index_granularity = 8192, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE lost_ends
(
    `topic` String,
    `partition` UInt32,
    `epoch` UInt32,
    `of_epoch` UInt32,
    `since` Int64,
    `is_done` UInt8,
    `found_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(is_done)
ORDER BY (topic, partition, epoch)
SETTINGS non_replicated_deduplication_window = 0, index_granularity = 8192, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE schema_migrations
(
    `version` UInt32,
    `name` String,
    `checksum` String,
    `applied_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY version
SETTINGS index_granularity = 8192, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE VIEW steps
(
    `tenant_id` LowCardinality(String),
    `trace_id` String,
    `step` Int64,
    `kind` LowCardinality(String),
    `name` LowCardinality(String),
    `arrived_at` DateTime64(3, 'UTC'),
    `status` LowCardinality(String),
    `agent_id` LowCardinality(String),
    `span_id` String,
    `parent_span_id` String,
    `parent_step` Nullable(Int64),
    `depth` UInt64,
    `attempt` UInt64,
    `started_at` Nullable(DateTime64(3, 'UTC')),
    `ended_at` Nullable(DateTime64(3, 'UTC')),
    `duration_ms` Nullable(UInt64),
    `start_event_id` UInt64,
    `end_event_id` UInt64,
    `error_event_id` UInt64,
    `error_type` LowCardinality(String),
    `error_message` String,
    `session_id` String,
    `user_id` String,
    `environment` LowCardinality(String),
    `customer` LowCardinality(String),
    `workflow` LowCardinality(String),
    `service_name` LowCardinality(String),
    `release` LowCardinality(String),
    `model` LowCardinality(String),
    `provider` LowCardinality(String),
    `input_tokens` Nullable(UInt64),
    `output_tokens` Nullable(UInt64),
    `cached_input_tokens` Nullable(UInt64),
    `reasoning_tokens` Nullable(UInt64),
    `cost_usd` Nullable(Decimal(38, 12)),
    `price` LowCardinality(String),
    `is_counted` UInt8
)
AS SELECT * EXCEPT (version, gone, _topic_epoch, _partition, _stored_at)
FROM steps_log
FINAL
WHERE gone = 0;

CREATE TABLE steps_log
(
    `tenant_id` LowCardinality(String),
    `trace_id` String CODEC(ZSTD(1)),
    `step` Int64 CODEC(Delta(8), ZSTD(1)),
    `version` Int64 CODEC(Delta(8), ZSTD(1)),
    `kind` LowCardinality(String),
    `name` LowCardinality(String),
    `arrived_at` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `status` LowCardinality(String),
    `agent_id` LowCardinality(String),
    `span_id` String CODEC(ZSTD(1)),
    `parent_span_id` String CODEC(ZSTD(1)),
    `parent_step` Nullable(Int64) CODEC(ZSTD(1)),
    `depth` UInt64 CODEC(ZSTD(1)),
    `attempt` UInt64 CODEC(ZSTD(1)),
    `started_at` Nullable(DateTime64(3, 'UTC')) CODEC(Delta(8), ZSTD(1)),
    `ended_at` Nullable(DateTime64(3, 'UTC')) CODEC(Delta(8), ZSTD(1)),
    `duration_ms` Nullable(UInt64) CODEC(ZSTD(1)),
    `start_event_id` UInt64 CODEC(ZSTD(1)),
    `end_event_id` UInt64 CODEC(ZSTD(1)),
    `error_event_id` UInt64 CODEC(ZSTD(1)),
    `error_type` LowCardinality(String),
    `error_message` String CODEC(ZSTD(1)),
    `session_id` String CODEC(ZSTD(1)),
    `user_id` String CODEC(ZSTD(1)),
    `environment` LowCardinality(String),
    `customer` LowCardinality(String),
    `workflow` LowCardinality(String),
    `service_name` LowCardinality(String),
    `release` LowCardinality(String),
    `model` LowCardinality(String),
    `provider` LowCardinality(String),
    `input_tokens` Nullable(UInt64) CODEC(ZSTD(1)),
    `output_tokens` Nullable(UInt64) CODEC(ZSTD(1)),
    `cached_input_tokens` Nullable(UInt64) CODEC(ZSTD(1)),
    `reasoning_tokens` Nullable(UInt64) CODEC(ZSTD(1)),
    `cost_usd` Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    `price` LowCardinality(String),
    `is_counted` UInt8,
    `gone` UInt8,
    `_topic_epoch` UInt32 CODEC(Delta(4), ZSTD(1)),
    `_partition` UInt32 CODEC(Delta(4), ZSTD(1)),
    `_stored_at` DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta(8), ZSTD(1)),
    INDEX of_trace trace_id TYPE bloom_filter GRANULARITY 1,
    INDEX of_session session_id TYPE bloom_filter GRANULARITY 1,
    INDEX arrived arrived_at TYPE minmax GRANULARITY 1,
    INDEX started started_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toDate(arrived_at)
ORDER BY (toDate(arrived_at), tenant_id, toStartOfHour(arrived_at), kind, trace_id, _topic_epoch, _partition, step)
TTL toDateTime(least(_stored_at, toDateTime64('2100-01-01', 3, 'UTC'))) + toIntervalDay(90)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0, index_granularity = 8192;

CREATE TABLE topic_epochs
(
    `epoch` UInt32,
    `cluster_id` String,
    `topic` String,
    `topic_id` String,
    `created_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, epoch)
SETTINGS index_granularity = 8192, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE trace_summaries
(
    `v` UInt8 EPHEMERAL,
    `tenant_id` LowCardinality(String),
    `trace_id` String CODEC(ZSTD(1)),
    `first_offset` Int64,
    `last_offset` Int64,
    `event_count` UInt64,
    `error_count` UInt64,
    `tool_call_count` UInt64,
    `handoff_count` UInt64,
    `first_at` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `last_at` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `last_received_at` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `agents` Array(String) CODEC(ZSTD(1)),
    `event_types` Array(String) CODEC(ZSTD(1)),
    `first_error_event_id` UInt64,
    `first_error_step` UInt64,
    `first_error_span_id` String CODEC(ZSTD(1)),
    `first_error_identifier` String CODEC(ZSTD(1)),
    `first_error_agent_id` String CODEC(ZSTD(1)),
    `exact` UInt8,
    `root_kind` LowCardinality(String),
    `root_name` String CODEC(ZSTD(1)),
    `root_status` LowCardinality(String),
    `last_failed` UInt8,
    `open_count` UInt32,
    `open_steps` String DEFAULT '[]' CODEC(ZSTD(1)),
    `llm_call_count` UInt64,
    `tool_error_count` UInt64,
    `input_tokens` UInt64,
    `output_tokens` UInt64,
    `cached_input_tokens` UInt64,
    `reasoning_tokens` UInt64,
    `calls_with_tokens` UInt64,
    `cost_usd` Decimal(38, 12),
    `priced_calls` UInt64,
    `unpriced_calls` UInt64,
    `slowest_kind` LowCardinality(String),
    `slowest_name` String CODEC(ZSTD(1)),
    `slowest_agent_id` LowCardinality(String),
    `slowest_step` Int64 DEFAULT -1,
    `slowest_ms` UInt64,
    `session_id` String CODEC(ZSTD(1)),
    `user_id` String CODEC(ZSTD(1)),
    `environment` LowCardinality(String),
    `customer` LowCardinality(String),
    `workflow` LowCardinality(String),
    `service_name` LowCardinality(String),
    `release` LowCardinality(String),
    `models` Array(String) CODEC(ZSTD(1)),
    `providers` Array(String) CODEC(ZSTD(1)),
    `first_error_type` LowCardinality(String),
    `first_error_input_event_id` UInt64,
    `_topic_epoch` UInt32,
    `_partition` UInt32,
    `_stored_at` DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta(8), ZSTD(1)),
    PROJECTION by_activity
    (
        SELECT
            tenant_id,
            trace_id,
            last_received_at
        ORDER BY
            tenant_id,
            last_received_at,
            trace_id
    )
)
ENGINE = ReplacingMergeTree(last_offset)
ORDER BY (tenant_id, trace_id, _topic_epoch, _partition, first_offset)
TTL toDateTime(least(_stored_at, toDateTime64('2100-01-01', 3, 'UTC'))) + toIntervalDay(90)
SETTINGS non_replicated_deduplication_window = 0, index_granularity = 8192, deduplicate_merge_projection_mode = 'rebuild';

CREATE VIEW traces
(
    `tenant_id` LowCardinality(String),
    `trace_id` String,
    `event_count` UInt64,
    `error_count` UInt64,
    `tool_call_count` UInt64,
    `handoff_count` UInt64,
    `first_at` DateTime64(3, 'UTC'),
    `last_at` DateTime64(3, 'UTC'),
    `last_received_at` DateTime64(3, 'UTC'),
    `duration_ms` Int64,
    `agents` Array(String),
    `event_types` Array(String),
    `first_error_event_id` UInt64,
    `first_error_step` UInt64,
    `first_error_span_id` String,
    `first_error_identifier` String,
    `first_error_agent_id` String,
    `segments` UInt64,
    `exact` UInt8,
    `root_kind` String,
    `root_name` String,
    `root_status` String,
    `last_failed` UInt8,
    `open_count` UInt32,
    `open_steps` String,
    `llm_call_count` UInt64,
    `tool_error_count` UInt64,
    `input_tokens` Nullable(UInt64),
    `output_tokens` Nullable(UInt64),
    `cached_input_tokens` Nullable(UInt64),
    `reasoning_tokens` Nullable(UInt64),
    `total_tokens` Nullable(UInt64),
    `calls_with_tokens` UInt64,
    `cost_usd` Nullable(Decimal(38, 12)),
    `priced_calls` UInt64,
    `unpriced_calls` UInt64,
    `slowest_kind` String,
    `slowest_name` String,
    `slowest_agent_id` String,
    `slowest_step` Nullable(Int64),
    `slowest_ms` Nullable(UInt64),
    `session_id` String,
    `user_id` String,
    `environment` String,
    `customer` String,
    `workflow` String,
    `service_name` String,
    `release` String,
    `models` Array(String),
    `providers` Array(String),
    `first_error_type` String,
    `first_error_input_event_id` UInt64,
    `status` String,
    `outcome` Nullable(String),
    `recovered_errors` UInt64
)
AS SELECT
    s.tenant_id AS tenant_id,
    s.trace_id AS trace_id,
    sum(s.event_count) AS event_count,
    sum(s.error_count) AS error_count,
    sum(s.tool_call_count) AS tool_call_count,
    sum(s.handoff_count) AS handoff_count,
    min(s.first_at) AS first_at,
    max(s.last_at) AS last_at,
    max(s.last_received_at) AS last_received_at,
    dateDiff('millisecond', min(s.first_at), max(s.last_at)) AS duration_ms,
    arrayDistinct(arrayFlatten(arrayMap(x -> (x.2), arraySort(x -> (x.1), groupArray(((s._topic_epoch, s.first_offset), s.agents)))))) AS agents,
    arrayDistinct(arrayFlatten(arrayMap(x -> (x.2), arraySort(x -> (x.1), groupArray(((s._topic_epoch, s.first_offset), s.event_types)))))) AS event_types,
    argMinIf(s.first_error_event_id, (s._topic_epoch, s.first_offset), s.first_error_step > 0) AS first_error_event_id,
    argMinIf(s.first_error_step, (s._topic_epoch, s.first_offset), s.first_error_step > 0) AS first_error_step,
    argMinIf(s.first_error_span_id, (s._topic_epoch, s.first_offset), s.first_error_step > 0) AS first_error_span_id,
    argMinIf(s.first_error_identifier, (s._topic_epoch, s.first_offset), s.first_error_step > 0) AS first_error_identifier,
    argMinIf(s.first_error_agent_id, (s._topic_epoch, s.first_offset), s.first_error_step > 0) AS first_error_agent_id,
    count() AS segments,
    toUInt8((count() = 1) AND (min(s.exact) = 1) AND ((s.tenant_id, s.trace_id) NOT IN (
        SELECT
            tenant_id,
            trace_id
        FROM dead_letters
        WHERE trace_id != ''
    ))) AS exact,
    argMinIf(s.root_kind, (s._topic_epoch, s.first_offset), s.root_kind != '') AS root_kind,
    argMinIf(s.root_name, (s._topic_epoch, s.first_offset), s.root_kind != '') AS root_name,
    argMinIf(s.root_status, (s._topic_epoch, s.first_offset), s.root_kind != '') AS root_status,
    argMax(s.last_failed, (s._topic_epoch, s.first_offset)) AS last_failed,
    argMax(s.open_count, (s._topic_epoch, s.first_offset)) AS open_count,
    argMax(s.open_steps, (s._topic_epoch, s.first_offset)) AS open_steps,
    sum(s.llm_call_count) AS llm_call_count,
    sum(s.tool_error_count) AS tool_error_count,
    if(sum(s.calls_with_tokens) > 0, sum(s.input_tokens), NULL) AS input_tokens,
    if(sum(s.calls_with_tokens) > 0, sum(s.output_tokens), NULL) AS output_tokens,
    if(sum(s.calls_with_tokens) > 0, sum(s.cached_input_tokens), NULL) AS cached_input_tokens,
    if(sum(s.calls_with_tokens) > 0, sum(s.reasoning_tokens), NULL) AS reasoning_tokens,
    if(sum(s.calls_with_tokens) > 0, sum(s.input_tokens) + sum(s.output_tokens), NULL) AS total_tokens,
    sum(s.calls_with_tokens) AS calls_with_tokens,
    if(sum(s.priced_calls) > 0, sum(s.cost_usd), NULL) AS cost_usd,
    sum(s.priced_calls) AS priced_calls,
    sum(s.unpriced_calls) AS unpriced_calls,
    argMaxIf(s.slowest_kind, s.slowest_ms, s.slowest_step >= 0) AS slowest_kind,
    argMaxIf(s.slowest_name, s.slowest_ms, s.slowest_step >= 0) AS slowest_name,
    argMaxIf(s.slowest_agent_id, s.slowest_ms, s.slowest_step >= 0) AS slowest_agent_id,
    if(max(s.slowest_step) >= 0, argMaxIf(s.slowest_step, s.slowest_ms, s.slowest_step >= 0), NULL) AS slowest_step,
    if(max(s.slowest_step) >= 0, argMaxIf(s.slowest_ms, s.slowest_ms, s.slowest_step >= 0), NULL) AS slowest_ms,
    argMinIf(s.session_id, (s._topic_epoch, s.first_offset), s.session_id != '') AS session_id,
    argMinIf(s.user_id, (s._topic_epoch, s.first_offset), s.user_id != '') AS user_id,
    argMinIf(s.environment, (s._topic_epoch, s.first_offset), s.environment != '') AS environment,
    argMinIf(s.customer, (s._topic_epoch, s.first_offset), s.customer != '') AS customer,
    argMinIf(s.workflow, (s._topic_epoch, s.first_offset), s.workflow != '') AS workflow,
    argMinIf(s.service_name, (s._topic_epoch, s.first_offset), s.service_name != '') AS service_name,
    argMinIf(s.release, (s._topic_epoch, s.first_offset), s.release != '') AS release,
    arrayDistinct(arrayFlatten(arrayMap(x -> (x.2), arraySort(x -> (x.1), groupArray(((s._topic_epoch, s.first_offset), s.models)))))) AS models,
    arrayDistinct(arrayFlatten(arrayMap(x -> (x.2), arraySort(x -> (x.1), groupArray(((s._topic_epoch, s.first_offset), s.providers)))))) AS providers,
    argMinIf(s.first_error_type, (s._topic_epoch, s.first_offset), s.first_error_step > 0) AS first_error_type,
    argMinIf(s.first_error_input_event_id, (s._topic_epoch, s.first_offset), s.first_error_step > 0) AS first_error_input_event_id,
    multiIf(open_count > 0, if((now64(3) - toIntervalMillisecond(300000)) > last_received_at, 'stalled', 'running'), (last_failed = 1) OR ((root_kind IN ('agent', 'span')) AND (root_status = 'error')), 'failed', 'ok') AS status,
    multiIf(status = 'ok', 'success', status = 'failed', 'failure', NULL) AS outcome,
    if(status = 'ok', error_count, 0) AS recovered_errors
FROM
(
    SELECT *
    FROM trace_summaries
    FINAL
) AS s
GROUP BY
    s.tenant_id,
    s.trace_id;
