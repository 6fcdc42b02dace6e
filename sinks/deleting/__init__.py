"""Deleting traces: what the sink does not store any more, and what it has ClickHouse delete.

In the order of a deletion: control_deletions (which there are), late_events (what is passed over), deleted_rows (the
statements), deleter (who runs them, and when).
"""
