"""What puts events on Kafka: the publisher, the record's encoding, the validation on a record, topics and keys."""
