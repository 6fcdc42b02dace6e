"""client.py and subscription.py are what the script makes of the asynchronous ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_synchronous_client_is_generated_from_the_asynchronous_one() -> None:
    command = [sys.executable, "scripts/generate_sync_client.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
