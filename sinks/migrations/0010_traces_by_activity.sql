-- The traces in the order of their activity, so that a page of them reads what it shows and not every trace of the tenant.
-- A projection is stored with the rows of its part or not at all; merges that drop replaced rows make it anew.
ALTER TABLE ${database}.trace_summaries ${on_cluster}
MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild';

ALTER TABLE ${database}.trace_summaries ${on_cluster}
ADD PROJECTION IF NOT EXISTS by_activity
(
    SELECT tenant_id, trace_id, last_received_at
    ORDER BY tenant_id, last_received_at, trace_id
);

ALTER TABLE ${database}.trace_summaries ${on_cluster}
MATERIALIZE PROJECTION IF EXISTS by_activity;
