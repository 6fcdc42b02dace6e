"""Where sinks start to read: what `axonstream init` commits, and how to go on after a log has lost its end."""
