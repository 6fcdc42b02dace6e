"""Where a partition stands: commits, the incarnation of its topic, and whether its log is still the same."""
