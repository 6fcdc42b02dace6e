-- What a step of an agent's run is asked for: whose it was, which model it called, what it took and cost, how it ended.
ALTER TABLE ${database}.events_log ${on_cluster}
ADD COLUMN IF NOT EXISTS session_id String CODEC(ZSTD(1)) AFTER environment,
ADD COLUMN IF NOT EXISTS user_id String CODEC(ZSTD(1)) AFTER session_id,
ADD COLUMN IF NOT EXISTS customer LowCardinality(String) AFTER user_id,
ADD COLUMN IF NOT EXISTS workflow LowCardinality(String) AFTER customer,
ADD COLUMN IF NOT EXISTS service_name LowCardinality(String) AFTER workflow,
ADD COLUMN IF NOT EXISTS release LowCardinality(String) AFTER service_name,
ADD COLUMN IF NOT EXISTS model LowCardinality(String) AFTER release,
ADD COLUMN IF NOT EXISTS provider LowCardinality(String) AFTER model,
ADD COLUMN IF NOT EXISTS input_tokens Nullable(UInt64) CODEC(ZSTD(1)) AFTER provider,
ADD COLUMN IF NOT EXISTS output_tokens Nullable(UInt64) CODEC(ZSTD(1)) AFTER input_tokens,
ADD COLUMN IF NOT EXISTS cached_input_tokens Nullable(UInt64) CODEC(ZSTD(1)) AFTER output_tokens,
ADD COLUMN IF NOT EXISTS reasoning_tokens Nullable(UInt64) CODEC(ZSTD(1)) AFTER cached_input_tokens,
ADD COLUMN IF NOT EXISTS cost_usd Nullable(Decimal(18, 12)) CODEC(ZSTD(1)) AFTER reasoning_tokens,
ADD COLUMN IF NOT EXISTS error_type LowCardinality(String) AFTER cost_usd,
ADD COLUMN IF NOT EXISTS status LowCardinality(String) AFTER error_type,
ADD COLUMN IF NOT EXISTS duration_ms Nullable(UInt64) CODEC(ZSTD(1)) AFTER status;

-- The view has the columns that the table had when it was made; when a row was stored is not of the event.
CREATE OR REPLACE VIEW ${database}.events ${on_cluster} AS
SELECT * EXCEPT _stored_at
FROM ${database}.events_log
ORDER BY tenant_id, trace_id, event_id, _topic_epoch, _partition, _offset
LIMIT 1 BY tenant_id, trace_id, event_id, if(dedup_key = '', _offset, -1);
