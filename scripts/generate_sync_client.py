"""Writes the synchronous client from the asynchronous one: with --check it compares them.

It replaces words, then ruff sorts the imports and leaves out those that are not used any more. The few sentences that
differ are in SENTENCES. Each of its entries must be found, so that none is left behind when the text changes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "axonstream"
FILES = {"async_client.py": "client.py", "async_subscription.py": "subscription.py"}
WORDS = [
    (r"Callable\[\[(.*?)\], Awaitable\[(.*?)\]\]", r"Callable[[\1], \2]"),
    (r"asyncio\.sleep", "time.sleep"),
    (r"\b(async|await) ", ""),
    (r"\b__a(enter|exit|iter|next)__\b", r"__\1__"),
    (r"\ba(next\(|close\b|read\b|iter_bytes\b)", r"\1"),
    (r"\benter_async_context\b", "enter_context"),
    (r"\basync_(client|subscription)\b", r"\1"),
    (r"\bAsync(?=[A-Z])", ""),  # the names of classes, ours and those of httpx and the standard library
]
SENTENCES = {
    "async_client.py": {
        "The client for asyncio. `client` is generated from it;": "The client for threads;",
        "Safe to share between the tasks of one event loop at a time.": (
            "Safe to share between threads, and usable in a process after a fork."
        ),
    },
    "async_subscription.py": {
        "Following events, for asyncio. `subscription` is generated from it;": "Following events, for threads;",
        "Not shared between tasks.": "Not shared between threads.",
    },
}


def generated(source: str) -> str:
    """The text of the synchronous module that `source` becomes."""
    text = (PACKAGE / source).read_text()
    for asynchronous, synchronous in SENTENCES[source].items():
        if asynchronous not in text:
            sys.exit(f"{source} has no {asynchronous!r} any more: correct SENTENCES")
        text = text.replace(asynchronous, synchronous)
    for word, instead in WORDS:
        text = re.sub(word, instead, text)
    text = (
        f"# Generated from {source} by scripts/generate_sync_client.py: change that one, then run `make fix`.\n{text}"
    )
    for command in (["check", "--fix-only", "--select", "F401,I"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--quiet", "--stdin-filename", PACKAGE / FILES[source], "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True).stdout
    return text


if __name__ == "__main__":
    texts = {PACKAGE / name: generated(source) for source, name in FILES.items()}
    old = [file.name for file, text in texts.items() if file.read_text() != text]
    if "--check" in sys.argv:
        sys.exit(f"run `make fix`: {', '.join(old)}" if old else 0)
    for file, text in texts.items():
        file.write_text(text)
