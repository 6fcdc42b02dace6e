"""What a sender sends: read, checked, and handed to Kafka."""
