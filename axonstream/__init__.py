"""Trace agent runs end to end."""
