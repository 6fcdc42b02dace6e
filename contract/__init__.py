"""What an event is: its fields, its record on Kafka, the validation of a record, deletions."""
