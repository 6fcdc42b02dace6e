"""A question of your own: which agents had errors.

`clickhouse.env` in the data directory of a local stack has address, user and password.
"""

from __future__ import annotations

import os
from pathlib import Path

import httpx

QUERY = """
SELECT agent_id, countIf(event_type = 'agent.error') AS errors, count() AS events
FROM events
WHERE tenant_id = '1'
GROUP BY agent_id
ORDER BY errors DESC, agent_id
FORMAT TabSeparatedWithNames
"""


def login() -> dict[str, str]:
    """The variables of the file; those of the environment come first."""
    file = Path(os.environ.get("AXONSTREAM_DATA_DIR", ".axonstream")) / "clickhouse.env"
    lines = file.read_text().splitlines() if file.exists() else []
    told = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return told | {name: os.environ[name] for name in told if name in os.environ}


def main() -> None:
    told = login()
    answer = httpx.post(
        told.get("CLICKHOUSE_URL", "http://127.0.0.1:8123"),
        params={"database": "axonstream"},
        content=QUERY,
        auth=(told.get("CLICKHOUSE_USER", "default"), told.get("CLICKHOUSE_PASSWORD", "")),
        trust_env=False,
    )
    answer.raise_for_status()
    print(answer.text, end="")


if __name__ == "__main__":
    main()
