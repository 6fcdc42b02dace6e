"""The `axonstream` command."""
