-- One row a Kafka record of agent-events; _topic_epoch, _partition and _offset say which.
CREATE TABLE IF NOT EXISTS ${database}.events_log ${on_cluster}
(
    v UInt8 EPHEMERAL,
    tenant_id LowCardinality(String),
    trace_id String CODEC(ZSTD(1)),
    event_id UInt64 CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    parent_event_id String CODEC(ZSTD(1)),
    parent_span_id String CODEC(ZSTD(1)),
    channel_id UInt64 CODEC(ZSTD(1)),
    agent_id LowCardinality(String),
    event_type LowCardinality(String),
    identifier String CODEC(ZSTD(1)),
    payload String CODEC(ZSTD(1)),
    metadata String CODEC(ZSTD(1)),
    dedup_key String CODEC(ZSTD(1)),
    environment LowCardinality(String),
    source LowCardinality(String),
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    _topic_epoch UInt32 CODEC(Delta, ZSTD(1)),
    _partition UInt32 CODEC(Delta, ZSTD(1)),
    _offset Int64 CODEC(Delta, ZSTD(1)),
    INDEX position (_topic_epoch, _partition, _offset) TYPE minmax GRANULARITY 4,
    PROJECTION hourly
    (
        SELECT tenant_id, toStartOfHour(occurred_at), agent_id, event_type, count()
        GROUP BY tenant_id, toStartOfHour(occurred_at), agent_id, event_type
    )
)
ENGINE = ${merge_tree}
PARTITION BY toDate(received_at)
ORDER BY (tenant_id, trace_id, occurred_at, _partition, _offset)
TTL toDateTime(least(received_at, toDateTime64('2100-01-01', 3, 'UTC'))) + toIntervalDay(${events_ttl_days})
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0;
