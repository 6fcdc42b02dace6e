-- Rows live for as long as the settings say from when they were stored. By the sender's clock they could be past their
-- TTL when they come in: ClickHouse drops such rows within the INSERT that it acknowledges. The TTLs follow (schema.py).
ALTER TABLE ${database}.events_log ${on_cluster}
ADD COLUMN IF NOT EXISTS _stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1));

ALTER TABLE ${database}.trace_summaries ${on_cluster}
ADD COLUMN IF NOT EXISTS _stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1));

ALTER TABLE ${database}.dead_letters ${on_cluster}
ADD COLUMN IF NOT EXISTS _stored_at DateTime64(3, 'UTC') DEFAULT now64(3);
