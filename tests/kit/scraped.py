"""What a scrape of /metrics says, as the Prometheus client library reads it."""

from __future__ import annotations

from collections.abc import Iterable

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

PREFIX = "axonstream_gateway_"


class Scraped:
    """One scrape."""

    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200
        self.text = answer.text
        self.families: list[Metric] = list(text_string_to_metric_families(answer.text))

    def ours(self) -> list[Metric]:
        """Without what the library says of the process and of Python."""
        return [family for family in self.families if family.name.startswith(PREFIX)]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name that have these labels; the name without our prefix."""
        return sum(values) if (values := self._values(name, labels)) else 0.0

    def has(self, name: str, **labels: str) -> bool:
        """Whether there is such a sample."""
        return bool(self._values(name, labels))

    def _values(self, name: str, labels: dict[str, str]) -> list[float]:
        samples = [sample for family in self.families for sample in family.samples if sample.name == PREFIX + name]
        return [sample.value for sample in samples if labels.items() <= sample.labels.items()]

    def labels(self) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        """Every series of ours."""
        return {(sample.name, _ordered(sample.labels.items())) for family in self.ours() for sample in family.samples}


def _ordered(labels: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels))
