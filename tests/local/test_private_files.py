"""What only its owner may read, and the login of the local ClickHouse."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from axonstream.local.clickhouse_login import kept_password, login_file, write_login
from axonstream.local.errors import NotPrivateError
from axonstream.local.private_file import make_private, write_private


def test_a_directory_is_made_and_an_open_one_is_shut(tmp_path: Path) -> None:
    """S15: that of the version before was open to all."""
    old = tmp_path / "old"
    old.mkdir(mode=0o755)
    old.chmod(0o755)
    for directory in (old, tmp_path / "new" / "deep"):
        make_private(directory)
        assert directory.stat().st_mode & 0o777 == 0o700


def test_what_cannot_be_shut_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotPrivateError, match="--data-dir"):
        make_private(tmp_path / "file" / "below")


def test_a_directory_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S15: root, started where somebody else had made .axonstream before, kept the secrets in that user's directory."""
    tmp_path.chmod(0o755)
    monkeypatch.setattr("axonstream.local.private_file.os.geteuid", lambda: os.getuid() + 1)
    with pytest.raises(NotPrivateError, match="belongs to another user"):
        make_private(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_private_file_is_replaced_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, "old")
    write_private(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_the_password_is_random_kept_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    password = kept_password(tmp_path)
    assert len(password) >= 40
    assert kept_password(tmp_path) != password, "not written yet"
    write_login(tmp_path, "http://127.0.0.1:8123", password)
    assert kept_password(tmp_path) == password
    write_login(tmp_path, "http://127.0.0.1:9999", password)
    assert kept_password(tmp_path) == password
    assert "http://127.0.0.1:9999" in login_file(tmp_path).read_text()
    assert login_file(tmp_path).stat().st_mode & 0o777 == 0o600
