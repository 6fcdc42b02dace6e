-- Where a partition of agent-events lost the end of its log: from the offset `since` on its rows carry this number as
-- _topic_epoch, and what was stored at these offsets before keeps the number it has. Numbers are unique over topics.
CREATE TABLE IF NOT EXISTS ${database}.partition_incarnations ${on_cluster}
(
    topic String,
    partition UInt32,
    epoch UInt32,
    since Int64,
    previous UInt32,
    reason String,
    created_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replacing_merge_tree}
ORDER BY (topic, partition, epoch);

-- The name of this database, which the sink's commits carry: two databases never share one consumer group.
CREATE TABLE IF NOT EXISTS ${database}.installation ${on_cluster}
(
    id String,
    created_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replacing_merge_tree}
ORDER BY id;
