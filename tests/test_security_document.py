"""SECURITY.md: a promise without a test that exists is none."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECURITY = (ROOT / "SECURITY.md").read_text()


def test_every_promise_links_to_tests_that_exist() -> None:
    promises = [line for line in SECURITY.splitlines() if line.startswith("|")][2:]
    assert len(promises) > 5
    for promise in promises:
        linked = re.findall(r"\]\((tests/[^)]+)\)", promise)
        assert linked, promise
        assert [path for path in linked if not (ROOT / path).is_file()] == []


def test_it_says_how_to_report_and_who_is_trusted_and_names_no_address() -> None:
    """S24, and what was known to its writers alone: that whoever writes to Kafka is trusted."""
    assert "private security advisory" in SECURITY
    assert "Anyone who can write to Kafka" in SECURITY
    assert re.findall(r"\S+@\S+|https?://\S+", SECURITY) == []
    assert "[SECURITY.md](SECURITY.md)" in (ROOT / "README.md").read_text()
