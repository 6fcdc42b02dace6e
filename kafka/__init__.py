"""How every part reaches Kafka: clients, topics, committed offsets, the identity of records, membership in a group."""
