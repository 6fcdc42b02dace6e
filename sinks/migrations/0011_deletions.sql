-- Where a deleted event stood: what is neither stored nor a dead letter there is not lost. No word of the event itself.
CREATE TABLE IF NOT EXISTS ${database}.deleted_places ${on_cluster}
(
    _topic_epoch UInt32 CODEC(Delta, ZSTD(1)),
    _partition UInt32 CODEC(Delta, ZSTD(1)),
    _offset Int64 CODEC(Delta, ZSTD(1)),
    _stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ${replacing_merge_tree}
ORDER BY (_topic_epoch, _partition, _offset)
TTL toDateTime(least(_stored_at, toDateTime64('2100-01-01', 3, 'UTC'))) + toIntervalDay(${dead_letters_ttl_days})
SETTINGS non_replicated_deduplication_window = 0;

-- The deletions whose rows are gone from this ClickHouse: one that comes from a backup does not say so of later ones.
CREATE TABLE IF NOT EXISTS ${database}.finished_deletions ${on_cluster}
(
    id UInt64,
    finished_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replacing_merge_tree}
ORDER BY id;
