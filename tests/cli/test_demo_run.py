"""The demonstration on the real stack, and `axonstream trace` on the trace that it leaves."""

from __future__ import annotations

import io
import re
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from axonstream import AxonPush
from axonstream.cli import terminal_text
from axonstream.cli.demo_run import FAILING_STEP, STEPS, play, show
from axonstream.cli.trace_command import trace
from axonstream.local.endpoints import Endpoints, write_endpoints
from axonstream.process.exit_codes import NO_SECRET

pytestmark = pytest.mark.services

TREE = """\
  step         at  agent       event
     1      +0 ms  planner     market_report  start  topic=AI frameworks
     2    +143 ms  planner     ├─ research  handoff  to=researcher
     3    +230 ms  researcher  │  ├─ web_search  tool call  query=AI frameworks 2026
     4  +1,042 ms  researcher  │  │  └─ web_search  tool done in 812 ms  results=9
     5  +1,206 ms  researcher  │  └─ write  handoff  to=writer
     6  +1,302 ms  writer      │     └─ draft_report  start  sources=9
     7  +1,360 ms  writer      │        ├─ summarize  tool call  input_tokens=131072
>    8  +2,234 ms  writer      │        │  └─ summarize  ERROR  over 128k tokens  <- first error
     9  +2,445 ms  writer      │        ├─ drop_sources  message  kept=7  dropped=2
    10  +2,491 ms  writer      │        └─ summarize  tool call  input_tokens=98304
    11  +3,386 ms  writer      │           └─ summarize  tool done in 895 ms  output_tokens=1210
    12  +3,573 ms  planner     └─ market_report  end in 3,573 ms  pages=4
"""


@pytest.fixture(scope="module")
def played(gateway_url: str) -> str:
    return play(gateway_url, "ak_local", "1")


def run(gateway_url: str, *arguments: str) -> Result:
    return CliRunner().invoke(trace, [*arguments, "--url", gateway_url, "--api-key", "ak_local", "--tenant", "1"])


def test_the_run_has_12_steps_3_tool_calls_and_fails_first_at_step_8(gateway_url: str, played: str) -> None:
    with AxonPush("ak_local", "1", base_url=gateway_url) as client:
        summary = client.traces.get_summary(played)
    assert (summary.total_events, summary.tool_call_count, summary.error_count) == (STEPS, 3, 1)
    assert summary.agents == ("planner", "researcher", "writer")
    assert summary.first_error is not None
    assert summary.first_error.step == FAILING_STEP


def test_it_shows_the_summary_and_the_tree_with_the_failing_step_marked(
    gateway_url: str, played: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(gateway_url, "ak_local", "1", played)
    header, tree = capsys.readouterr().out.split("\n\n")
    assert header == (
        f"trace {played}  ended, 1 error recovered (step 8 of 12)\n"
        "12 events · 3 tool calls · 2 handoffs · 1 error · 3,573 ms\n"
        "agents: planner, researcher, writer"
    )
    assert tree == TREE
    assert max(map(len, tree.splitlines())) <= 100


def test_trace_show_prints_the_same(gateway_url: str, played: str) -> None:
    result = run(gateway_url, "show", played)
    assert result.exit_code == 0
    assert result.stdout.endswith("\n\n" + TREE)


def test_trace_show_as_json_is_one_document(gateway_url: str, played: str) -> None:
    document = orjson.loads(run(gateway_url, "show", played, "-o", "json").stdout)
    assert document["summary"]["firstError"]["step"] == FAILING_STEP
    assert [event["identifier"] for event in document["events"]][:2] == ["market_report", "research"]
    assert len(document["events"]) == STEPS


def test_trace_list_has_the_trace_as_a_table_and_as_json(gateway_url: str, played: str) -> None:
    rows = [line for line in run(gateway_url, "list", "--limit", "1000").stdout.splitlines() if played in line]
    assert len(rows) == 1
    assert re.search(r"  step 8: summarize +planner, researcher, writer$", rows[0])  # as wide as the widest of the list
    listed = orjson.loads(run(gateway_url, "list", "--limit", "1000", "-o", "json").stdout)
    assert played in {item["traceId"] for item in listed}


def test_an_unknown_trace_is_exit_code_1_and_says_what_to_do(gateway_url: str) -> None:
    result = run(gateway_url, "show", "tr_no\x1bsuch")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "\x1b" not in result.stderr
    assert "axonstream trace list" in result.stderr


def test_a_wrong_key_has_an_exit_code_of_its_own_and_says_what_to_do(gateway_url: str) -> None:
    result = CliRunner().invoke(trace, ["list", "--url", gateway_url, "--api-key", "ak_wrong"])
    assert (result.exit_code, result.stderr.count("--api-key")) == (NO_SECRET, 1)


def test_the_stack_of_the_data_directory_is_asked_without_a_url(
    endpoints: Endpoints, played: str, tmp_path: Path
) -> None:
    write_endpoints(tmp_path, endpoints)
    unset = {"AXONSTREAM_GATEWAY_PORT": None, "AXONSTREAM_API_KEYS": None}
    result = CliRunner().invoke(trace, ["show", played, "--data-dir", str(tmp_path)], env=unset)
    assert (result.exit_code, result.stdout.endswith(TREE)) == (0, True), result.stderr


@pytest.mark.parametrize(("no_color", "coloured"), [(None, True), ("1", False)])
def test_a_terminal_gets_colours_unless_no_color_is_set(
    gateway_url: str, played: str, monkeypatch: pytest.MonkeyPatch, no_color: str | None, *, coloured: bool
) -> None:
    screen = io.StringIO()
    environment = {"TERM": "xterm-256color", **({"NO_COLOR": no_color} if no_color else {})}
    monkeypatch.setattr(
        terminal_text, "Console", lambda: Console(file=screen, force_terminal=True, _environ=environment)
    )
    show(gateway_url, "ak_local", "1", played)
    assert ("\x1b[1;31m" in screen.getvalue()) == coloured
