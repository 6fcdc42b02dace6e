"""What puts events on Kafka: the event log of the gateway, its batcher, and the publisher for services."""
