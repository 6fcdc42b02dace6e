"""What stands between Faust and the fold: which modules do, when Faust calls them, and why each hook is there.

Only these know Faust: chunked_transport (names the classes for Faust), chunked_consumer and chunked_producer (both ends
of Kafka), leased_thread (the thread of aiokafka's consumer), chunk and fetched_chunks (what the agent gets),
trace_table, prompt_tables, bulk_recovery and found_starts (recovery), and application (puts it together).
`tests/test_architecture.py` holds it.

Faust runs two event loops. aiokafka's consumer lives in a thread of its own (LeasedConsumerThread), everything else in
the main loop. `->` is a call, or what follows at once; steps without a class of ours are Faust's own. The test
`test_hook_order.py` runs a processor on a real Kafka and compares these lists with what Faust called.

Start
    1. App.consumer -> ChunkedConsumer._new_consumer_thread
    2. ProcessorApp.on_first_start: the topics are checked, and nothing is made before
    3. ChunkedProducer._new_producer -> ChunkedProducer._settings_extra
    4. LeasedConsumerThread.on_start -> LeasedConsumerThread._create_consumer, then our hooks into aiokafka
    5. the agent starts
    6. PromptTableManager.on_start -> the table is registered, the recovery waits for its first signal
    7. the conductor subscribes -> aiokafka joins the group: revoke (of nothing), then assign, then recovery

Fetch, again and again, by the fetcher in the main loop
    1. Consumer.getmany waits until the flow goes on
    2. ChunkedConsumer._getmany: its steps are in `_next_to_deliver`
    3. in the consumer's thread: LeasedConsumerThread._fetch_records
    4. Consumer.getmany drops what is of another generation -> the message is made
    5. ChunkedConsumer._add_gap, when its offset is not the next one after what was delivered last
    6. the conductor puts it into the agent's queue -> ChunkedConsumer.on_buffer_full, when that is nearly full

Commit, each second, and in revoke and stop
    1. Consumer.commit lets one commit at a time through
    2. ChunkedConsumer._filter_tps_with_pending_acks: of which partitions
    3. ChunkedConsumer._new_offset, for each: which position
    4. the producer is flushed
    5. ChunkedConsumer._commit, unless no position is above what was committed -> in the thread, aiokafka's commit

Revoke, when the group is about to be joined again; still a member of the old generation
    1. App.on_rebalance_start: `rebalancing` is true from here on
    2. ChunkedConsumer.on_partitions_revoked stops the flow and waits for acknowledgements
       -> a commit: ChunkedConsumer._filter_tps_with_pending_acks -> ChunkedConsumer._new_offset
       -> forgets -> Consumer.on_partitions_revoked drops the partitions
    3. App._on_partitions_revoked -> TraceTable.apply_changelog_batch, with what a recovery had left
       -> queues are cleared

Assign, when the group has a new generation; also when the revocation raised
    1. `consumer_generation_id` is the new one
    2. in the consumer's thread: LeasedConsumerThread.on_partitions_assigned, a heartbeat first
    3. ChunkedConsumer.on_partitions_assigned forgets -> shuts out the owner before
    4. App._on_partitions_assigned pauses all partitions -> tables -> the recovery gets its signal

Recovery, a task of its own; another assignment begins it again from step 1
    1. what an earlier one has left is merged, the producer flushed, the ends of the changelog asked for: each of these
       steps is a PatientRecovery._wait
    2. the changelog is sought, and its partitions resumed
    3. ChunkedConsumer.resume_flow -> fetches of the changelog alone, merged in bulk by ChunkedConsumer._getmany
    4. TraceTable.apply_changelog_batch, with the last record of the changelog: it ends the reading
    5. TraceTable.on_recovery_completed: states of partitions that went elsewhere are dropped
    6. ChunkedConsumer.perform_seek: where folding begins
    7. queues are cleared -> ChunkedConsumer.resume_flow -> `rebalancing` is false -> "ready processor"
    8. ChunkedConsumer._getmany: an opening chunk of each partition, then events

Stop
    1. the fetcher ends -> TraceTable.apply_changelog_batch
    2. Consumer.on_stop -> a last commit: ChunkedConsumer._filter_tps_with_pending_acks -> ChunkedConsumer._new_offset
    3. the thread ends -> aiokafka leaves the group
    4. if that meets a rebalance, App._on_rebalance_when_stopped -> LeasedConsumerThread.close, which does nothing

Each hook, all of faust-streaming 0.15.3 (issues are of github.com/faust-streaming/faust where nothing else is said)
    ChunkedConsumer._new_consumer_thread           our thread. Without: none of its hooks
    ChunkedConsumer._getmany                       a fetch is one message. Without: 240-990 us an event; delivered while
                                                   queues are cleared, a message is lost (596)
    ChunkedConsumer._filter_tps_with_pending_acks  commits by ledger. Without: only what Faust acknowledged is looked at
    ChunkedConsumer._new_offset                    commits what is acknowledged by Kafka. Without: also what an agent
                                                   raised on (robinhood/faust 604), or what is under way (606)
    ChunkedConsumer._commit                        notes in the commit. Without: a refused commit counts as done
    ChunkedConsumer._add_gap                       no gaps between chunks. Without: all records of a chunk but its last
                                                   would be free to commit (gaps were committed wrongly before: 312)
    ChunkedConsumer.on_buffer_full                 a full queue blocks. Without: a pause of 1 s each time (since 53)
    ChunkedConsumer.on_partitions_revoked          commits first. Without: the next owner folds them again (502)
    ChunkedConsumer.on_partitions_assigned         shuts out the owner before. Without: its late write outlives ours
    ChunkedConsumer.perform_seek                   begins where states and logs say. Without: at the commit, whatever a
                                                   power cut took; no issue known
    ChunkedConsumer.resume_flow                    hears only the recovery of this assignment. Without: a worker folds
                                                   what it has given up; no issue known
    LeasedConsumerThread._create_consumer          notes, and short fetches. Without: a seek waits up to 1.5 s
    LeasedConsumerThread.on_start                  hooks into aiokafka: lease, slim records, leader watch. Without: a
                                                   zombie may write
    LeasedConsumerThread._fetch_records            puts back what would be dropped, says how far it moved. Without: a
                                                   recovery waits for a record that is gone; what was fetched before
                                                   a rebalance comes after it (221)
    LeasedConsumerThread.on_partitions_assigned    a heartbeat at once. Without: the lease begins 1 s late
    LeasedConsumerThread.close                     nothing. Without: the group is not left, and partitions wait for the
                                                   session timeout; no issue known
    ChunkedProducer._settings_extra                acks=all, idempotent. Without: so only for exactly_once
    ChunkedProducer._new_producer                  sends under the lease (I8). Without: a zombie's writes reach Kafka
    TraceTable.apply_changelog_batch               the highest offset wins (I10). Without: the last record does
    TraceTable.on_recovery_completed               forgets what is of other partitions. Without: memory grows
    PromptTableManager.on_start                    starts at once. Without: a second more for every start
    PromptTableManager.recovery                    is patient. Without: as the next one
    PatientRecovery._wait                          has no timeout. Without: a slow Kafka ends recovery for good
    ProcessorApp.on_first_start                    checks the topics. Without: folding ends in the middle of an error
"""
