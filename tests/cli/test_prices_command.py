"""`axonstream prices` on real Kafka, and what it says when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from click.testing import CliRunner, Result

from axonstream.cli.audit_command import audit
from axonstream.cli.command_actor import command_actor
from axonstream.cli.prices_command import prices
from axonstream.cli.terminal_text import table_lines
from axonstream.contract import price_records
from axonstream.local.free_ports import free_port
from axonstream.process.exit_codes import FAILED, UNREACHABLE, WRONG_USE
from axonstream.settings.settings import Settings
from kit.dead_letter_box import environment
from kit.rooms import ROOT

EXAMPLE = str(ROOT / "examples" / "prices.example.json")
NEW_YEAR = "2026-01-01T00:00:00Z"


def run(settings: Settings, *words: str) -> Result:
    return CliRunner().invoke(prices, [*words, "--data-dir", str(settings.data_dir)], env=environment(settings))


def done(settings: Settings, *words: str) -> str:
    result = run(settings, *words)
    assert result.exit_code == 0, result.output
    return result.stdout


def listed(settings: Settings, *words: str) -> list[dict[str, Any]]:
    return json.loads(done(settings, "list", "-o", "json", *words))


def audited(settings: Settings) -> list[dict[str, Any]]:
    words = ["list", "-o", "json", "--action", "prices", "--data-dir", str(settings.data_dir)]
    result = CliRunner().invoke(audit, words, env=environment(settings))
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.services
def test_a_price_is_set_replaced_listed_and_removed_and_each_is_in_the_audit_log(server_settings: Settings) -> None:
    settings = server_settings
    assert listed(settings) == []
    new = ("set", "org/gpt-x", "--input", "2.50", "--output", "10", "--from", NEW_YEAR)
    assert done(settings, *new) == f"org/gpt-x from {NEW_YEAR}: input 2.5, output 10\n"
    assert done(settings, *new) == f"unchanged: org/gpt-x from {NEW_YEAR}: input 2.5, output 10\n"
    replaced = done(settings, "set", "org/gpt-x", "--input", "3", "--reasoning", "12", "--from", "2026-01-01")
    assert replaced == f"org/gpt-x from {NEW_YEAR}: input 3, reasoning 12; before: input 2.5, output 10\n"
    assert done(settings, "set", "org/gpt-x", "--cached-input", "0.000000000001").startswith("org/gpt-x from 20")
    assert done(settings, "set", "org/gpt-x", "--cached-input", "1e-12").startswith("unchanged: org/gpt-x from 20")
    done(settings, "set", "org/gpt-x-free", "--no-price", "--from", "2026-02-01T12:00:00.5")
    first, now, free = listed(settings)
    assert first == {
        "model": "org/gpt-x", "validFrom": NEW_YEAR, "usdPerMillionTokens": {"input": "3", "reasoning": "12"},
    }  # fmt: skip
    assert now["usdPerMillionTokens"] == {"cachedInput": "0.000000000001"}
    assert free == {
        "model": "org/gpt-x-free", "validFrom": "2026-02-01T12:00:00.500Z", "usdPerMillionTokens": {},
    }  # fmt: skip
    assert listed(settings, "--model", "org/gpt-x-2") == [first, now]
    assert listed(settings, "--model", "org/gpt") == []
    assert done(settings, "remove", "org/gpt-x", "--from", now["validFrom"]).startswith("removed: org/gpt-x from 20")
    assert listed(settings) == [first, free]
    removed, of_free, of_now, again, set_first = audited(settings)
    assert [one["action"] for one in (set_first, again, of_now, of_free)] == ["prices.set"] * 4
    assert (again["subject"], again["tenant_id"]) == (f"price of org/gpt-x from {NEW_YEAR}", "")
    assert again["before"] == set_first["after"] == {"usd_per_million_tokens": "input 2.5, output 10"}
    assert (again["after"], of_free["after"]) == (
        {"usd_per_million_tokens": "input 3, reasoning 12"},
        {"usd_per_million_tokens": "no price"},
    )
    assert set_first["before"] is of_now["before"] is removed["after"] is None
    assert (removed["action"], removed["before"]) == ("prices.remove", of_now["after"])
    assert {(one["who"], one["origin"]) for one in audited(settings)} == {tuple(command_actor())}


@pytest.mark.services
def test_a_file_is_imported_once_and_only_what_is_new_or_changed_is_written(
    server_settings: Settings, tmp_path: Path
) -> None:
    settings = server_settings
    would = done(settings, "import", EXAMPLE, "--dry-run")
    assert would == "7 prices: 7 would be new, 0 would be changed, 0 unchanged\n"
    assert listed(settings) == audited(settings) == []
    assert done(settings, "import", EXAMPLE) == "7 prices: 7 new, 0 changed, 0 unchanged\n"
    assert listed(settings) == sorted(json.loads(Path(EXAMPLE).read_text())["prices"], key=lambda one: one["model"])
    assert done(settings, "import", EXAMPLE) == "7 prices: 0 new, 0 changed, 7 unchanged\n"
    file = tmp_path / "prices.csv"
    file.write_text(
        "model,validFrom,input,output\ntext-embedding-3,2025-01-01,0.10,\ngpt-4o,2026-01-01,5,\nnew,2026-01-01,1,\n"
    )
    assert done(settings, "import", str(file)) == (
        f"changed: gpt-4o from {NEW_YEAR}: input 5; before: input 3, output 12, cachedInput 1.5\n"
        "3 prices: 1 new, 1 changed, 1 unchanged\n"
    )
    second, first = audited(settings)
    assert (first["action"], first["subject"], first["before"]) == ("prices.import", "7 prices", {})
    assert second["before"] == {f"gpt-4o from {NEW_YEAR}": "input 3, output 12, cachedInput 1.5"}
    assert second["after"] == {f"gpt-4o from {NEW_YEAR}": "input 5", f"new from {NEW_YEAR}": "input 1"}
    (tmp_path / "again.json").write_text(done(settings, "list", "-o", "json"))
    again = done(settings, "import", str(tmp_path / "again.json"))
    assert again == "8 prices: 0 new, 0 changed, 8 unchanged\n"
    table = run(settings, "list")
    assert table.stderr == "8 prices, in USD per 1,000,000 tokens\n"
    assert max(map(len, table.stdout.splitlines())) < 80
    rows = [line.split() for line in table.stdout.splitlines()]
    assert rows[0] == ["model", "valid", "from", "input", "output", "cached", "reasoning"]
    assert ["gemini-2.5-flash", "2025-01-01", "0.5", "2", "-", "3"] in rows


@pytest.mark.services
def test_what_cannot_be_done_is_said_in_one_line_and_writes_nothing(
    server_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = server_settings
    done(settings, "set", "m", "--input", "1", "--from", NEW_YEAR)
    none = run(settings, "remove", "m", "--from", "2026-01-02")
    assert (none.exit_code, none.stderr) == (
        FAILED,
        f"Error: there is no price of m from 2026-01-02T00:00:00Z; there are prices of it from {NEW_YEAR}\n",
    )
    assert "`axonstream prices list` prints all" in run(settings, "remove", "x", "--from", NEW_YEAR).stderr
    monkeypatch.setattr("axonstream.cli.prices_command.MOST_PRICES", 2)
    full = run(settings, "import", EXAMPLE)
    assert full.exit_code == FAILED
    assert "there would be 8 prices, and 2 is the most" in full.stderr
    assert price_records.MOST_PRICES > 2_000
    assert len(listed(settings)) == len(audited(settings)) == 1


@pytest.mark.services
def test_a_control_topic_that_is_missing_is_said_at_once(server_settings: Settings) -> None:
    elsewhere = server_settings.model_copy(update={"topic_prefix": "no-such-"})
    began = monotonic()
    for words in (["list"], ["set", "m", "--input", "1"], ["import", EXAMPLE]):
        missing = run(elsewhere, *words)
        assert missing.exit_code == UNREACHABLE
        assert missing.stderr == "Error: there is no topic no-such-axonstream-control: run `axonstream init`\n"
    assert monotonic() - began < 20


def test_without_kafka_it_is_one_line(tmp_path: Path) -> None:
    nowhere = Settings(kafka_bootstrap_servers=f"127.0.0.1:{free_port()}", data_dir=tmp_path)
    result = run(nowhere, "list")
    assert result.exit_code == UNREACHABLE
    assert "Traceback" not in result.output
    assert "check that Kafka runs at" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["set", "m"], "give at least one of --input, --output, --cached-input and --reasoning, or --no-price"),
        (["set", "m", "--no-price", "--input", "1"], "or --no-price"),
        (["set", "m", "--input", "$1"], "input must be US dollars as a decimal from 0 to 1,000,000"),
        (["set", "m", "--cached-input", "-1"], "cachedInput must be US dollars"),
        (["set", "m", "--input", "1000001"], "input must be US dollars"),
        (["set", "", "--input", "1"], "model must be 1 to 256 bytes"),
        (["set", "m", "--input", "1", "--from", "soon"], "is not a time, as 30m"),
        (["remove", "m"], "Missing option '--from'"),
        (["import", "no-such-file"], "does not exist"),
    ],
)
def test_wrong_words_are_said_before_kafka_is_asked(tmp_path: Path, words: list[str], said: str) -> None:
    result = run(Settings(kafka_bootstrap_servers="127.0.0.1:1", data_dir=tmp_path), *words)
    assert result.exit_code == WRONG_USE
    assert said in " ".join(result.stderr.split())


def test_a_wrong_file_is_named_with_each_fault(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("model,validFrom,input\na\x1b[31m,soon,1\nb,2026-01-01,x\n")
    result = run(Settings(kafka_bootstrap_servers="127.0.0.1:1", data_dir=tmp_path), "import", str(file))
    assert result.exit_code == FAILED
    first, *faults = result.stderr.splitlines()
    assert first == f"Error: {file}: nothing is imported, mend this first:"
    assert [line[:8] for line in faults] == ["line 2 (", "line 3 ("]
    assert "\x1b" not in result.stderr


def test_a_usual_row_takes_80_columns() -> None:
    row = ["claude-sonnet-4-5-20250929", "2025-01-01", "1000.25", "1000.25", "1000.25", "1000.25"]
    names = ["model", "valid from", "input", "output", "cached", "reasoning"]
    assert max(map(len, table_lines(names, [row], [True] * 6))) <= 80
