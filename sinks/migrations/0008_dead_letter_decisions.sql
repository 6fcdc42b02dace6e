-- What an operator decided on a dead letter, apart from the letter: a sink that writes it again does not reopen it.
-- Kept twice as long as letters are, so that it outlives its letter.
CREATE TABLE IF NOT EXISTS ${database}.dead_letter_decisions ${on_cluster}
(
    topic LowCardinality(String),
    partition UInt32,
    offset Int64,
    decision LowCardinality(String),
    decided_at DateTime64(3, 'UTC'),
    _topic_epoch UInt32
)
ENGINE = ${replacing_merge_tree}(decided_at)
ORDER BY (topic, _topic_epoch, partition, offset)
TTL toDateTime(least(decided_at, toDateTime64('2100-01-01', 3, 'UTC'))) + toIntervalDay(2 * ${dead_letters_ttl_days})
SETTINGS non_replicated_deduplication_window = 0;
