"""Which offsets are stored and which are not: the ledger, gaps, and the comparison of the tables with the log."""
