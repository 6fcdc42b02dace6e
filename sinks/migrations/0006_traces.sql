-- One row a trace, its segments added up. Where exact is 0, the events are the truth and this is close to it.
CREATE VIEW IF NOT EXISTS ${database}.traces ${on_cluster} AS
SELECT
    s.tenant_id AS tenant_id,
    s.trace_id AS trace_id,
    sum(s.event_count) AS event_count,
    sum(s.error_count) AS error_count,
    sum(s.tool_call_count) AS tool_call_count,
    sum(s.handoff_count) AS handoff_count,
    min(s.first_at) AS first_at,
    max(s.last_at) AS last_at,
    max(s.last_received_at) AS last_received_at,
    dateDiff('millisecond', min(s.first_at), max(s.last_at)) AS duration_ms,
    arrayDistinct(arrayFlatten(arrayMap(x -> x.2, arraySort(x -> x.1,
        groupArray(((s._topic_epoch, s.first_offset), s.agents)))))) AS agents,
    arrayDistinct(arrayFlatten(arrayMap(x -> x.2, arraySort(x -> x.1,
        groupArray(((s._topic_epoch, s.first_offset), s.event_types)))))) AS event_types,
    argMinIf(s.first_error_event_id, (s._topic_epoch, s.first_offset), s.first_error_step > 0) AS first_error_event_id,
    argMinIf(s.first_error_step, (s._topic_epoch, s.first_offset), s.first_error_step > 0) AS first_error_step,
    argMinIf(s.first_error_span_id, (s._topic_epoch, s.first_offset), s.first_error_step > 0) AS first_error_span_id,
    argMinIf(s.first_error_identifier, (s._topic_epoch, s.first_offset), s.first_error_step > 0)
        AS first_error_identifier,
    argMinIf(s.first_error_agent_id, (s._topic_epoch, s.first_offset), s.first_error_step > 0)
        AS first_error_agent_id,
    count() AS segments,
    toUInt8(count() = 1 AND min(s.exact) = 1 AND (s.tenant_id, s.trace_id) NOT IN
        (SELECT tenant_id, trace_id FROM ${database}.dead_letters WHERE trace_id != '')) AS exact
FROM (SELECT * FROM ${database}.trace_summaries FINAL) AS s
GROUP BY s.tenant_id, s.trace_id;
