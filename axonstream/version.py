"""The version of this package, and of nothing else: pyproject.toml reads it here."""

VERSION = "0.1.0"
