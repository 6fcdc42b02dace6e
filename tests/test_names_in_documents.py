"""Every name in backticks that a document has exists: what was renamed or removed is named nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from axonstream.gateway.openapi import document
from kit.named_in_documents import ROOT, Named, names
from kit.offline_gateway import OfflineGateway
from kit.scraped import Scraped

pytestmark = pytest.mark.slow

# A decision that was replaced may name what has gone since. Its files are looked up in tests/test_readme.py.
DECISIONS = [page for page in sorted(ROOT.glob("docs/decisions/0*.md")) if "Status: in force." in page.read_text()]
TOP = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES = [*TOP, *sorted(ROOT.glob("docs/*.md")), *DECISIONS]

# Names that are not ours, and values that are examples. Each is on a page, or it goes from here.
OTHERS = {
    "transactional.id.expiration.ms": "a setting of Kafka's brokers",
    "await": "Python",
    "yield": "Python",
    "async with": "Python",
    "async for": "Python",
    "run.py": "a file that the reader writes",
    "sp_<16 hex of this context>_0001": "an example of a span id",
    "_0002": "the end of the next one",
    "MALLOC_ARENA_MAX=1": "a variable that the C library reads",
    "APPLY(...)": "SQL that the parser of ClickHouse knows",
    "EXPLAIN indexes = 1": "SQL that a person runs",
    "xText": "a field that is named after another",
    "axonstream.ROOM": "a name with a placeholder",
    "ALL_PROXY": "a variable that HTTP clients read",
    "HTTPS_PROXY": "a variable that HTTP clients read",
    "SSL_CERT_FILE=/path/to/ca.pem": "a variable that OpenSSL reads",
    "Upgrade": "a header of HTTP, which the gateway does not read",
    "X-Forwarded-For": "a header of proxies, which the gateway does not read",
    "optimize_aggregation_in_order": "a setting of ClickHouse that was tried and is not used",
    "argMin": "a function of ClickHouse that was tried and is not used",
    "old_parts_lifetime": "a setting of ClickHouse, left at its default",
    "user_files_path": "a setting of ClickHouse servers that are not ours",
    "GRANT SELECT": "SQL for ClickHouse servers that are not ours",
    "sumIf": "a function of ClickHouse with a combinator",
    "process_*": "metrics of the Prometheus library",
    "python_gc_*": "metrics of the Prometheus library",
    "python_info": "a metric of the Prometheus library",
    "_DATABASE": "the end of AXONSTREAM_CLICKHOUSE_DATABASE, beside its like",
    "..._id_text": "a column that is named after another",
    "generateRandom": "a table function of ClickHouse; the list that allows it has small letters",
    "generateSeries": "a table function of ClickHouse; the list that allows it has small letters",
    "INFORMATION_SCHEMA": "a database of ClickHouse; the list that allows it has small letters",
    "s3": "a table function of ClickHouse, refused because no list has it",
    "remote": "a table function of ClickHouse, refused because no list has it",
    "RENAME": "a statement of ClickHouse",
    "OPTIMIZE": "a statement of ClickHouse",
    "BACKUP": "a statement of ClickHouse, refused because no list has it",
    "SYSTEM": "a statement of ClickHouse, refused because no list has it",
    "PartitionsTakeNothing": "an alarm, defined on the page",
    "staging": "an example of a value that a sender chooses",
    "production": "an example of a value that a sender chooses",
    "gpt-4": "an example of a model",
    "gpt-4o": "an example of a model",
    "gpt-4o-2024-11-20": "an example of a model",
    "https://hooks.example.com/...": "an example of an address",
    'get_or_create_trace("tr_pipeline_run_99")': "an example of a trace id",
    'AXONSTREAM_API_KEYS="ak_$(openssl rand -hex 32)=team-a"': "a line for a shell; the setting is on other pages",
}


@pytest.fixture(scope="module")
def named() -> Named:
    gateway = OfflineGateway()
    gateway.send("GET", "/apps")
    families = Scraped(gateway.send("GET", "/metrics")).families
    described = document()
    schemas = described["components"]["schemas"].values()
    calls = [(path, verb, call) for path, by_verb in described["paths"].items() for verb, call in by_verb.items()]
    parameters = {one["name"] for _, _, call in calls for one in call.get("parameters", [])}
    return Named(
        metrics=frozenset({one.name for one in families} | {s.name for one in families for s in one.samples}),
        routes=frozenset((verb.upper(), re.sub(r"{\w+}", "{}", path)) for path, verb, _ in calls)
        | {("GET", re.sub(r"{\w+}", "{}", path)) for path in gateway.paths()},
        fields=frozenset(parameters.union(*(schema.get("properties", {}) for schema in schemas))),
        others=frozenset(OTHERS),
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_name_in_backticks_exists(page: Path, named: Named) -> None:
    assert named.stale(page.read_text(), page) == []


@pytest.mark.parametrize(
    "gone",
    [
        "`_no_such_name`",
        "`gateway/no_such_file.py`",
        "`no_such_file.py`",
        "`tests/faults/test_no_such_*.py`",
        "`AXONSTREAM_NO_SUCH_SETTING`",
        "`axonstream_gateway_no_such_total`",
        "`axonstream no-such-command`",
        "`axonstream verify --no-such-option`",
        "`make no-such-target`",
        "`GET /no/such/call`",
        "`DELETE /metrics`",
        "`/traces?noSuchParameter=`",
        "`X-Axonstream-No-Such-Header`",
        "`noSuchField`",
        "`no_such_column`",
        "`SELECT no_such_column FROM events`",
        "`no_such_function()`",
    ],
)
def test_a_name_that_nothing_has_is_found(gone: str, named: Named) -> None:
    assert named.stale(f"As it is, `axonstream verify`; and {gone}.", ROOT / "README.md") == names(gone)


def test_every_name_of_others_is_still_on_a_page() -> None:
    on_pages = {name for page in PAGES for name in names(page.read_text())}
    assert sorted(OTHERS.keys() - on_pages) == []
