-- The deletions whose rows are gone from this ClickHouse: one that comes from a backup does not say so of later ones.
CREATE TABLE IF NOT EXISTS ${database}.finished_deletions ${on_cluster}
(
    id UInt64,
    finished_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ${replacing_merge_tree}
ORDER BY id;
