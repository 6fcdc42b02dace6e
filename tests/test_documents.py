"""The documents: short enough to be read, and complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DECISIONS = ROOT / "docs/decisions"
MOST_BYTES_OF_ARCHITECTURE = 12_000


def test_architecture_is_read_in_one_sitting() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_bytes()) <= MOST_BYTES_OF_ARCHITECTURE


def test_every_decision_has_a_number_a_status_and_a_day_and_is_in_the_list() -> None:
    files = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))
    listed = re.findall(
        r"^\| \[(\d{4})\]\(([^)]+)\) \| (.+) \| (\S+) \|$", (DECISIONS / "README.md").read_text(), re.MULTILINE
    )
    assert [name for _, name, _, _ in listed] == files
    for number, name, title, day in listed:
        text = (DECISIONS / name).read_text()
        assert name.startswith(number)
        assert text.startswith(f"# {title}\n\nStatus: "), name
        assert re.match(rf"(in force|replaced by \d{{4}})\. Decided: {day}\.\n", text.partition("Status: ")[2]), name


def test_every_promise_of_architecture_is_in_the_table_of_guarantees() -> None:
    rows = re.compile(r"^\| (G\d+) \| ([^|]+) \| [^|]+ \|$", re.MULTILINE).findall(
        (ROOT / "ARCHITECTURE.md").read_text()
    )
    assert [number for number, _ in rows] == [f"G{number}" for number in range(1, len(rows) + 1)]
    guarantees = (ROOT / "docs/guarantees.md").read_text()
    for number, promise in rows:
        assert f"| {number} | {promise} |" in guarantees


@pytest.mark.slow
def test_what_is_made_of_the_program_says_what_the_program_does() -> None:
    """In a process of its own: Faust gives every command of click another option for its help."""
    command = [sys.executable, "docs/generate.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_page_is_in_the_menu_of_the_site_once_and_every_entry_is_a_page() -> None:
    pages = {path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))}
    menu = re.findall(
        r"^ +- ([\w/.-]+\.md)$", (ROOT / "docs/site.yml").read_text().partition("\nnav:\n")[2], re.MULTILINE
    )
    assert sorted(menu) == sorted(pages | {"docs/decisions/README.md", "examples/README.md"})


def test_the_settings_of_the_site_name_no_address() -> None:
    assert "://" not in (ROOT / "docs/site.yml").read_text() + (ROOT / "docs/site.css").read_text()


@pytest.mark.soak
def test_the_site_is_built_with_every_link_right_and_loads_nothing_from_elsewhere() -> None:
    """It installs the tools; --strict makes a link to what is not there an error."""
    done = subprocess.run(["make", "docs"], cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((ROOT / "build/site").rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md")))
    loaded = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
    assert {page.name: found for page in pages if (found := loaded.findall(page.read_text()))} == {}


def test_every_page_is_in_the_list_of_pages() -> None:
    listed = re.findall(r"^\| \[[^]]+\]\(([^)]+)\) \|", (ROOT / "docs/README.md").read_text(), re.MULTILINE)
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {one for one in listed if "/" not in one} == pages
