"""The local stack: an embedded Kafka and ClickHouse, and the supervisor of the parts."""
