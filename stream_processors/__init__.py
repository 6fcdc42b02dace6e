"""The Faust worker that folds agent-events into one summary per trace.

An event's way: topic_check (at start), chunked_consumer (fetch -> Chunk), chunk, fold with trace_state, name_list,
remembered_ids and trace_states, snapshots and state_table (what goes out), chunked_producer, settle_ledger (what may be
committed), eviction with idle_order (what is forgotten). application puts them together.

Three kinds of modules, which `tests/test_architecture.py` holds apart:

- the domain imports neither Faust nor aiokafka, and none of the others: fold and its states, state_table, snapshots,
  settle_ledger, eviction, start_position;
- the adapter of Faust: faust_adapter names its modules, and says when Faust calls them;
- what asks Kafka with aiokafka: continuity, summaries_end, changelog_fence, topic_check, price_follower, rebuild, and
  what sinks use, too: membership, consumed, consumed_offsets, patient_fetch.

The invariants that keep a summary true; each is named as I1 ... I17 where it is enforced:

I1  Fence: a state holds the last offset folded into it; an event at or below is skipped, its summary is sent again.
I2  One order: output is queued synchronously, in the order of the folded chunks, on the source's partition number.
I3  Contiguity: a chunk that starts after the folded position of its partition stops the worker.
I4  Settle: an offset is committable only when the output of it and of all before it is acknowledged.
I5  Faust's own acks, gaps and generation skips have no influence on what is committed.
I6  Revoke: drain, commit, forget, in that order, while still a member of the old generation.
I7  Back-pressure: a bounded number of folded chunks may have unacknowledged output, and a bounded number of offsets may
    be fetched beyond the commit; fetching waits.
I8  Lease: nothing is produced after the group session may have expired, so a zombie cannot overwrite its successor.
I9  Fail-stop: a broken invariant or an error in the agent ends the process at once (exit 70); nothing is committed.
I10 Highest offset wins, not the last record, wherever states or summaries are read.
I11 No await between `Chunk.records()` and `Chunk.settle()`; one agent, concurrency 1.
I12 Events, changelog and summaries have the same partition count; a trace is on one partition number.
I13 Nothing is delivered while a rebalance or a recovery goes on. What is fetched then is put back, and a recovery that
    another rebalance overtakes lets nothing go on.
I14 Only a trace is evicted whose last offset is committed, once all that an earlier life may have folded is: none of
    its events is ever folded again.
I15 Nothing is folded while an eviction is not acknowledged; the state is forgotten after that.
I16 Folding begins at the lowest of what commit, changelog and summaries say, and anew when the log of events is not the
    one that was folded. The mark of the last record that an earlier life counted on is said on until folding is beyond
    it. States that began where the summaries end are folded again.
I18 The changelog is told of a chunk once its steps and summaries are acknowledged: a state that counts an event has no
    step to tell of it any more.
I17 Whoever owned a changelog partition before cannot write to it: the broker refuses its epoch.
"""
