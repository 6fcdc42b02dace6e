"""The HTTP face: publishing, reads of traces, authentication, health."""
