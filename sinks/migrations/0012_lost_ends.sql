-- What Kafka has lost of a partition of agent-events, and is here alone: from the offset `since` on, rows that carried
-- `of_epoch` carry `epoch` as their _topic_epoch. Their offsets belong to other records now.
-- is_done is 0 while they are being moved.
CREATE TABLE IF NOT EXISTS ${database}.lost_ends ${on_cluster}
(
    topic String,
    partition UInt32,
    epoch UInt32,
    of_epoch UInt32,
    since Int64,
    is_done UInt8,
    found_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replacing_merge_tree}(is_done)
ORDER BY (topic, partition, epoch)
SETTINGS non_replicated_deduplication_window = 0;

-- The name of this database, which every commit of the sink carries: two databases never share one consumer group.
CREATE TABLE IF NOT EXISTS ${database}.installation ${on_cluster}
(
    id String,
    made_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replacing_merge_tree}
ORDER BY id
SETTINGS non_replicated_deduplication_window = 0;
