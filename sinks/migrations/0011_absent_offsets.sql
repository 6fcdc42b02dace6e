-- Offsets of agent-events at which the log has no record, transaction markers above all: the sink has looked, so it does
-- not look again each time that it compares the table with the log. Both bounds are included, and no row crosses a
-- multiple of a million. Losing rows of it costs another look.
CREATE TABLE IF NOT EXISTS ${database}.absent_offsets ${on_cluster}
(
    _topic_epoch UInt32,
    _partition UInt32,
    first_offset Int64,
    last_offset Int64,
    found_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replacing_merge_tree}(found_at)
ORDER BY (_topic_epoch, _partition, first_offset, last_offset)
TTL toDateTime(least(found_at, toDateTime64('2100-01-01', 3, 'UTC'))) + toIntervalDay(${events_ttl_days})
SETTINGS non_replicated_deduplication_window = 0;
