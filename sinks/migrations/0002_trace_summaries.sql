-- Snapshots of a trace's segment; the one with the highest last_offset is true. Read it with FINAL.
CREATE TABLE IF NOT EXISTS ${database}.trace_summaries ${on_cluster}
(
    v UInt8 EPHEMERAL,
    tenant_id LowCardinality(String),
    trace_id String CODEC(ZSTD(1)),
    first_offset Int64,
    last_offset Int64,
    event_count UInt64,
    error_count UInt64,
    tool_call_count UInt64,
    handoff_count UInt64,
    first_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    last_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    last_received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    agents Array(String) CODEC(ZSTD(1)),
    event_types Array(String) CODEC(ZSTD(1)),
    first_error_event_id UInt64,
    first_error_step UInt64,
    first_error_span_id String CODEC(ZSTD(1)),
    first_error_identifier String CODEC(ZSTD(1)),
    first_error_agent_id String CODEC(ZSTD(1)),
    exact UInt8,
    _topic_epoch UInt32,
    _partition UInt32
)
ENGINE = ${replacing_merge_tree}(last_offset)
ORDER BY (tenant_id, trace_id, _topic_epoch, _partition, first_offset)
TTL toDateTime(least(last_received_at, toDateTime64('2100-01-01', 3, 'UTC'))) + toIntervalDay(${summaries_ttl_days})
SETTINGS non_replicated_deduplication_window = 0;
