"""The tables against the log, and storing again what the tables have lost."""
