"""The broker of the local stack runs on jars that this version knows, and on no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from axonstream.local.errors import DownloadError
from axonstream.local.kafka_jar_hashes import SHA256_BY_NAME
from axonstream.local.kafka_jars import KAFKA, LOGGING, check_jars, kafka_classpath

CACHE = Path.home() / ".cache" / "axonstream"


@pytest.fixture(scope="module")
def real() -> list[Path]:
    """The jars of this machine; downloaded when they are not there yet."""
    return kafka_classpath(CACHE)


def copied(real: list[Path], directory: Path, name: str) -> tuple[Path, list[Path]]:
    """A cache whose list names links to the real jars, and a copy of the one of this name."""
    jars = [directory / jar.name for jar in real]
    for jar, link in zip(real, jars, strict=True):
        if jar.name == name:
            link.write_bytes(jar.read_bytes())
        else:
            link.symlink_to(jar)
    listing = directory / (f"{KAFKA}+{LOGGING}".replace(":", "-") + ".json")
    listing.write_text(json.dumps([str(jar) for jar in jars]))
    return directory / name, jars


@pytest.mark.services  # it needs the jars
@pytest.mark.parametrize("which", [0, -1])
def test_a_jar_of_which_one_byte_differs_is_not_used(which: int, real: list[Path], tmp_path: Path) -> None:
    """S20: jgo compares a jar with a SHA-1 that the same server gives out; nothing was pinned here."""
    changed, jars = copied(real, tmp_path, real[which].name)
    assert kafka_classpath(tmp_path) == jars
    raw = bytearray(changed.read_bytes())
    raw[len(raw) // 2] ^= 1
    changed.write_bytes(raw)
    with pytest.raises(DownloadError, match="Delete the file and start again") as refused:
        kafka_classpath(tmp_path)
    assert str(refused.value).startswith(f"{changed} is not the file")


@pytest.mark.services
def test_a_jar_more_or_less_is_said(real: list[Path], tmp_path: Path) -> None:
    strange = tmp_path / "more.jar"
    strange.write_bytes(real[0].read_bytes())
    with pytest.raises(DownloadError, match=r"more\.jar is not the file"):
        check_jars([*real, strange])
    with pytest.raises(DownloadError, match=f"cannot run without {real[-1].name}"):
        check_jars(real[:-1])


@pytest.mark.services
def test_every_known_jar_is_used(real: list[Path]) -> None:
    assert {jar.name for jar in real} == SHA256_BY_NAME.keys()
