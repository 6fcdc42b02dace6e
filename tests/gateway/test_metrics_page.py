"""docs/metrics.md names every metric of the gateway, as it is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from kit.offline_gateway import OfflineGateway
from kit.scraped import Scraped

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


def test_the_table_has_every_metric_with_its_type_and_text(offline: OfflineGateway) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| .* \| (.+) \|$", PAGE, re.MULTILINE)
    offline.send("GET", "/apps")
    found = Scraped(offline.send("GET", "/metrics")).ours()
    told = [(f.name + "_total" * (f.type == "counter"), f.type, f.documentation) for f in found]
    assert rows == told


def test_the_alarms_ask_for_metrics_that_exist(offline: OfflineGateway) -> None:
    named = set(re.findall(r"axonstream_gateway_\w+", PAGE))
    offline.send("GET", "/apps")
    families = Scraped(offline.send("GET", "/metrics")).ours()
    exist = {family.name for family in families} | {s.name for family in families for s in family.samples}
    assert named <= exist
