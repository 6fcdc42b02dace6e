-- One row an event: what was published twice with one dedup key shows once, as it came first.
CREATE VIEW IF NOT EXISTS ${database}.events ${on_cluster} AS
SELECT *
FROM ${database}.events_log
ORDER BY tenant_id, trace_id, event_id, _topic_epoch, _partition, _offset
LIMIT 1 BY tenant_id, trace_id, event_id, if(dedup_key = '', _offset, -1);
