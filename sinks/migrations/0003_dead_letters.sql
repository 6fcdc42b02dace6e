-- What could not be stored: key and value are the record's bytes. Read it with FINAL.
CREATE TABLE IF NOT EXISTS ${database}.dead_letters ${on_cluster}
(
    topic LowCardinality(String),
    partition UInt32,
    offset Int64,
    key String CODEC(ZSTD(1)),
    value String CODEC(ZSTD(1)),
    reason String CODEC(ZSTD(1)),
    tenant_id String,
    trace_id String,
    failed_at DateTime64(3, 'UTC'),
    _topic_epoch UInt32
)
ENGINE = ${replacing_merge_tree}
ORDER BY (topic, _topic_epoch, partition, offset)
TTL toDateTime(least(failed_at, toDateTime64('2100-01-01', 3, 'UTC'))) + toIntervalDay(${dead_letters_ttl_days})
SETTINGS non_replicated_deduplication_window = 0;
