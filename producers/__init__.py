"""What puts events on Kafka: the publisher, the record's encoding, the verdict on a record, topics and keys."""
