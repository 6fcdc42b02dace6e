"""Live streams: one reader of the log a gateway, one ring of events, a cursor for each stream."""
