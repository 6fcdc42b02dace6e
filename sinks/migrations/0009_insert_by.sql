-- A fence: an INSERT says until when, by this server's clock, it may begin, and one that comes later is refused whole.
-- A zombie's INSERT that the network held back so makes no second row. One row of an INSERT carries the time; a row
-- without one is never late.
ALTER TABLE ${database}.events_log ${on_cluster}
ADD COLUMN IF NOT EXISTS _insert_by DateTime64(3, 'UTC') EPHEMERAL toDateTime64('2100-01-01', 3, 'UTC');

ALTER TABLE ${database}.events_log ${on_cluster}
ADD COLUMN IF NOT EXISTS _in_time UInt8
MATERIALIZED throwIf(_insert_by < now64(3), 'this INSERT comes too late') CODEC(ZSTD(1));
