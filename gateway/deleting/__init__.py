"""Deleting traces over HTTP: the request, the markers in the log, what reads say until ClickHouse has finished."""
