"""Reads of traces and events: how far a read must wait, and the queries that answer it."""
