-- The time that rows show, which since and until of a list compare: parts and granules without such a time are not read.
-- Parts that exist get it in the background; until then they are read as before.
ALTER TABLE ${database}.events_log ${on_cluster}
ADD INDEX IF NOT EXISTS occurred_at occurred_at TYPE minmax GRANULARITY 1;

ALTER TABLE ${database}.events_log ${on_cluster}
MATERIALIZE INDEX IF EXISTS occurred_at;
