-- One row for each version of a step; the one with the highest version is true. Read it with FINAL; what is `gone` is no
-- step. `step` is the offset of the step's first event, arrived_at the time of that event by Kafka's clock: neither ever
-- changes, so the versions of a step meet in one partition. Its name may change: a start that comes after the end has the
-- last word. So it is not in the order. The order begins with the day, although that is one in each partition: where the
-- granules of some hours are read, those with other versions of the same steps are read as well, and these then are of
-- the same day.
CREATE TABLE IF NOT EXISTS ${database}.steps_log ${on_cluster}
(
    tenant_id LowCardinality(String),
    trace_id String CODEC(ZSTD(1)),
    step Int64 CODEC(Delta, ZSTD(1)),
    version Int64 CODEC(Delta, ZSTD(1)),
    kind LowCardinality(String),
    name LowCardinality(String),
    arrived_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    status LowCardinality(String),
    agent_id LowCardinality(String),
    span_id String CODEC(ZSTD(1)),
    parent_span_id String CODEC(ZSTD(1)),
    parent_step Nullable(Int64) CODEC(ZSTD(1)),
    depth UInt64 CODEC(ZSTD(1)),
    attempt UInt64 CODEC(ZSTD(1)),
    started_at Nullable(DateTime64(3, 'UTC')) CODEC(Delta, ZSTD(1)),
    ended_at Nullable(DateTime64(3, 'UTC')) CODEC(Delta, ZSTD(1)),
    duration_ms Nullable(UInt64) CODEC(ZSTD(1)),
    start_event_id UInt64 CODEC(ZSTD(1)),
    end_event_id UInt64 CODEC(ZSTD(1)),
    error_event_id UInt64 CODEC(ZSTD(1)),
    error_type LowCardinality(String),
    error_message String CODEC(ZSTD(1)),
    session_id String CODEC(ZSTD(1)),
    user_id String CODEC(ZSTD(1)),
    environment LowCardinality(String),
    customer LowCardinality(String),
    workflow LowCardinality(String),
    service_name LowCardinality(String),
    release LowCardinality(String),
    model LowCardinality(String),
    provider LowCardinality(String),
    input_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    output_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    cached_input_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    reasoning_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    cost_usd Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    price LowCardinality(String),
    is_counted UInt8,
    gone UInt8,
    _topic_epoch UInt32 CODEC(Delta, ZSTD(1)),
    _partition UInt32 CODEC(Delta, ZSTD(1)),
    _stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX of_trace trace_id TYPE bloom_filter GRANULARITY 1,
    INDEX of_session session_id TYPE bloom_filter GRANULARITY 1,
    INDEX arrived arrived_at TYPE minmax GRANULARITY 1,
    INDEX started started_at TYPE minmax GRANULARITY 1
)
ENGINE = ${replacing_merge_tree}(version)
PARTITION BY toDate(arrived_at)
ORDER BY (toDate(arrived_at), tenant_id, toStartOfHour(arrived_at), kind, trace_id, _topic_epoch, _partition, step)
TTL toDateTime(least(_stored_at, toDateTime64('2100-01-01', 3, 'UTC'))) + toIntervalDay(${summaries_ttl_days})
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0;

-- One row a step, as it stands now. A condition on arrived_at or started_at reads about those hours. One on started_at
-- also reads the granules that have a step whose start is not known.
CREATE VIEW IF NOT EXISTS ${database}.steps ${on_cluster} AS
SELECT * EXCEPT (version, gone, _topic_epoch, _partition, _stored_at)
FROM ${database}.steps_log FINAL
WHERE gone = 0;

-- What a summary says of the run and its steps.
ALTER TABLE ${database}.trace_summaries ${on_cluster}
ADD COLUMN IF NOT EXISTS root_kind LowCardinality(String) AFTER exact,
ADD COLUMN IF NOT EXISTS root_name String CODEC(ZSTD(1)) AFTER root_kind,
ADD COLUMN IF NOT EXISTS root_status LowCardinality(String) AFTER root_name,
ADD COLUMN IF NOT EXISTS last_failed UInt8 AFTER root_status,
ADD COLUMN IF NOT EXISTS open_count UInt32 AFTER last_failed,
ADD COLUMN IF NOT EXISTS open_steps String DEFAULT '[]' CODEC(ZSTD(1)) AFTER open_count,
ADD COLUMN IF NOT EXISTS llm_call_count UInt64 AFTER open_steps,
ADD COLUMN IF NOT EXISTS tool_error_count UInt64 AFTER llm_call_count,
ADD COLUMN IF NOT EXISTS input_tokens UInt64 AFTER tool_error_count,
ADD COLUMN IF NOT EXISTS output_tokens UInt64 AFTER input_tokens,
ADD COLUMN IF NOT EXISTS cached_input_tokens UInt64 AFTER output_tokens,
ADD COLUMN IF NOT EXISTS reasoning_tokens UInt64 AFTER cached_input_tokens,
ADD COLUMN IF NOT EXISTS calls_with_tokens UInt64 AFTER reasoning_tokens,
ADD COLUMN IF NOT EXISTS cost_usd Decimal(38, 12) AFTER calls_with_tokens,
ADD COLUMN IF NOT EXISTS priced_calls UInt64 AFTER cost_usd,
ADD COLUMN IF NOT EXISTS unpriced_calls UInt64 AFTER priced_calls,
ADD COLUMN IF NOT EXISTS slowest_kind LowCardinality(String) AFTER unpriced_calls,
ADD COLUMN IF NOT EXISTS slowest_name String CODEC(ZSTD(1)) AFTER slowest_kind,
ADD COLUMN IF NOT EXISTS slowest_agent_id LowCardinality(String) AFTER slowest_name,
ADD COLUMN IF NOT EXISTS slowest_step Int64 DEFAULT -1 AFTER slowest_agent_id,
ADD COLUMN IF NOT EXISTS slowest_ms UInt64 AFTER slowest_step,
ADD COLUMN IF NOT EXISTS session_id String CODEC(ZSTD(1)) AFTER slowest_ms,
ADD COLUMN IF NOT EXISTS user_id String CODEC(ZSTD(1)) AFTER session_id,
ADD COLUMN IF NOT EXISTS environment LowCardinality(String) AFTER user_id,
ADD COLUMN IF NOT EXISTS customer LowCardinality(String) AFTER environment,
ADD COLUMN IF NOT EXISTS workflow LowCardinality(String) AFTER customer,
ADD COLUMN IF NOT EXISTS service_name LowCardinality(String) AFTER workflow,
ADD COLUMN IF NOT EXISTS release LowCardinality(String) AFTER service_name,
ADD COLUMN IF NOT EXISTS models Array(String) CODEC(ZSTD(1)) AFTER release,
ADD COLUMN IF NOT EXISTS providers Array(String) CODEC(ZSTD(1)) AFTER models,
ADD COLUMN IF NOT EXISTS first_error_type LowCardinality(String) AFTER providers,
ADD COLUMN IF NOT EXISTS first_error_input_event_id UInt64 AFTER first_error_type;

-- Summaries from before say nothing of steps: where their traces may have some, reads count the events.
ALTER TABLE ${database}.trace_summaries ${on_cluster}
UPDATE exact = 0 WHERE exact = 1 AND root_kind = '' AND hasAny(event_types, ['agent.start', 'agent.end',
    'agent.tool_call.start', 'agent.tool_call.end', 'agent.llm.start', 'agent.llm.end', 'agent.error']);

-- One row a trace, its segments added up. Where exact is 0, the events are the truth and this is close to it.
-- The status is that of axonstream/verdict.py; a run is stalled when nothing has arrived for 300 s.
CREATE OR REPLACE VIEW ${database}.traces ${on_cluster} AS
SELECT
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
    arrayDistinct(arrayFlatten(arrayMap(x -> x.2, arraySort(x -> x.1,
        groupArray(((s._topic_epoch, s.first_offset), s.agents)))))) AS agents,
    arrayDistinct(arrayFlatten(arrayMap(x -> x.2, arraySort(x -> x.1,
        groupArray(((s._topic_epoch, s.first_offset), s.event_types)))))) AS event_types,
    argMinIf(s.first_error_event_id, (s._topic_epoch, s.first_offset), s.first_error_step > 0) AS first_error_event_id,
    argMinIf(s.first_error_step, (s._topic_epoch, s.first_offset), s.first_error_step > 0) AS first_error_step,
    argMinIf(s.first_error_span_id, (s._topic_epoch, s.first_offset), s.first_error_step > 0) AS first_error_span_id,
    argMinIf(s.first_error_identifier, (s._topic_epoch, s.first_offset), s.first_error_step > 0)
        AS first_error_identifier,
    argMinIf(s.first_error_agent_id, (s._topic_epoch, s.first_offset), s.first_error_step > 0)
        AS first_error_agent_id,
    count() AS segments,
    toUInt8(count() = 1 AND min(s.exact) = 1 AND (s.tenant_id, s.trace_id) NOT IN
        (SELECT tenant_id, trace_id FROM ${database}.dead_letters WHERE trace_id != '')) AS exact,
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
    arrayDistinct(arrayFlatten(arrayMap(x -> x.2, arraySort(x -> x.1,
        groupArray(((s._topic_epoch, s.first_offset), s.models)))))) AS models,
    arrayDistinct(arrayFlatten(arrayMap(x -> x.2, arraySort(x -> x.1,
        groupArray(((s._topic_epoch, s.first_offset), s.providers)))))) AS providers,
    argMinIf(s.first_error_type, (s._topic_epoch, s.first_offset), s.first_error_step > 0) AS first_error_type,
    argMinIf(s.first_error_input_event_id, (s._topic_epoch, s.first_offset), s.first_error_step > 0)
        AS first_error_input_event_id,
    multiIf(open_count > 0, if(now64(3) - toIntervalMillisecond(300000) > last_received_at, 'stalled', 'running'),
        last_failed = 1 OR (root_kind IN ('agent', 'span') AND root_status = 'error'), 'failed', 'ok') AS status,
    multiIf(status = 'ok', 'success', status = 'failed', 'failure', NULL) AS outcome,
    if(status = 'ok', error_count, 0) AS recovered_errors
FROM (SELECT * FROM ${database}.trace_summaries FINAL) AS s
GROUP BY s.tenant_id, s.trace_id;
