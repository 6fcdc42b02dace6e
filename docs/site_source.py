"""`python docs/site_source.py` copies the pages, the files that they link to, and the site's settings to build/.

The folders stay as they are here, so every link of a page is right on the site, too.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "build/site-source"
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def pages() -> list[Path]:
    """Every page of the site: those at the top, of docs/ and its decisions, and of the examples."""
    return [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "examples/README.md"]


def copy() -> None:
    """Into an empty folder: a page that has gone is on the site no more."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for page in pages():
        _copy(page)
        for link in _LINK.findall(page.read_text()):
            linked = (page.parent / link).resolve()
            if linked.is_file():
                _copy(linked)
    shutil.copyfile(ROOT / "docs/site.css", SOURCE / "site.css")
    shutil.copyfile(ROOT / "docs/site.yml", ROOT / "build/site.yml")  # its folders are beside it


def _copy(file: Path) -> None:
    into = SOURCE / file.relative_to(ROOT)
    into.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, into)


if __name__ == "__main__":
    copy()
