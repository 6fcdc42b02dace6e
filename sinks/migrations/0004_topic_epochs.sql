-- Which cluster and which incarnation of each topic the rows of an epoch came from.
CREATE TABLE IF NOT EXISTS ${database}.topic_epochs ${on_cluster}
(
    epoch UInt32,
    cluster_id String,
    topic String,
    topic_id String,
    created_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replacing_merge_tree}
ORDER BY (topic, epoch);
