"""From records of agent-events to rows of events_log, each exactly once."""
