"""Each way to fail has an exit code of its own, which `axonstream --help` lists."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from axonstream.cli.main import main
from axonstream.process import exit_codes
from axonstream.process.exit_codes import MEANINGS, NO_SECRET, UNREACHABLE, WRONG_SETTINGS, WRONG_USE


def run(tmp_path: Path, *words: str, **variables: str) -> Result:
    environment = {"AXONSTREAM_DATA_DIR": str(tmp_path), "AXONSTREAM_CLICKHOUSE_URL": "http://127.0.0.1:1"}
    return CliRunner().invoke(main, words, env={**environment, **variables})


def test_the_help_lists_every_code_once() -> None:
    printed = CliRunner().invoke(main, ["--help"]).output
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert codes | {0} == set(MEANINGS)
    for code, meaning in MEANINGS.items():
        assert f"  {code}  {meaning}\n" in printed


@pytest.mark.parametrize(
    ("words", "variables", "code"),
    [
        (["sql", "SELECT 1"], {"AXONSTREAM_GATEWAY_PORT": "no"}, WRONG_SETTINGS),
        (["trace", "list"], {"AXONSTREAM_GATEWAY_PORT": "no"}, WRONG_SETTINGS),
        (["sql", "SELECT 1"], {}, UNREACHABLE),
        (["sql", "SELECT 1"], {"AXONSTREAM_CLICKHOUSE_URL": "http://c.example", "http_proxy": "x://["}, WRONG_SETTINGS),
        (["trace", "list", "--url", "http://127.0.0.1:1"], {}, UNREACHABLE),
        (["dead-letters", "list"], {}, UNREACHABLE),
        (["keys", "list"], {}, NO_SECRET),
        (["trace", "list"], {"AXONSTREAM_API_KEYS": "", "AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"}, NO_SECRET),
        (["trace", "list", "--no-such-option"], {}, WRONG_USE),
        (["dead-letters", "list", "--since", "yesterday"], {}, WRONG_USE),
    ],
)
def test_what_went_wrong_can_be_told_from_the_code(
    tmp_path: Path, words: list[str], variables: dict[str, str], code: int
) -> None:
    done = run(tmp_path, *words, **variables)
    assert (done.exit_code, done.stdout) == (code, ""), done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_stack_the_advice_is_given_once(tmp_path: Path) -> None:
    done = run(tmp_path, "trace", "list", "--url", "http://127.0.0.1:1")
    assert done.stderr.count("axonstream up") == 1
    assert done.stderr.count("--url") == 1


def test_a_wrong_setting_is_said_without_words_of_a_library(tmp_path: Path) -> None:
    done = run(tmp_path, "trace", "list", AXONSTREAM_SERVER_SECRET="x")
    assert done.exit_code == WRONG_SETTINGS
    assert "Value error" not in done.stderr
