"""What every process of ours has: log lines, clocks, a name of its own, a fair share of its event loop."""
