"""From Kafka to ClickHouse, exactly once: the offset ledger, the writer, the schema, dead letters."""
