"""What a message says to do is done, and helps: those remedies that need no server."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
import socket
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from remedy_texts import ROOT, in_the_code

from axonstream.cli.main import main
from axonstream.gateway.access.shares import Shares
from axonstream.local.data_directory import DataDirectory
from axonstream.local.endpoints import endpoints_file, read_endpoints
from axonstream.local.errors import AlreadyRunningError, DownloadError, NotPrivateError, PartFailedError
from axonstream.local.kafka_jar_hashes import SHA256_BY_NAME
from axonstream.local.private_file import make_private
from axonstream.local.server_secret import kept_secret, server_secret
from axonstream.local.servers import LocalServers
from axonstream.local.stack import LocalStack, StackOptions
from axonstream.settings.gateway import LEAST_SECRET
from axonstream.settings.secret_strength import weakness
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import SettingsError
from axonstream.sinks.worker import _lease_s


@pytest.mark.slow
def test_what_is_to_be_installed_is_an_extra_with_what_is_missing() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = [name for _, _, text in in_the_code() for name in re.findall(r'pip install "axonstream\[(.*?)\]"', text)]
    assert {extra for names in named for extra in names.split(",")} == {"kafka", "server", "local"}
    assert any(one.startswith("aiokafka") for one in extras["kafka"])
    assert any(one.startswith("click") for one in extras["server"])
    assert any(one.startswith("chdb") for one in extras["local"])


def test_a_secret_as_openssl_makes_it_is_strong() -> None:
    assert weakness("secret" * 6, LEAST_SECRET)
    assert weakness(secrets.token_hex(32), LEAST_SECRET) is None


def test_an_insert_timeout_below_the_session_is_taken() -> None:
    with pytest.raises(
        SettingsError, match=r"AXONSTREAM_INSERT_TIMEOUT_MS .* must be more than (\d+) below"
    ) as refused:
        _lease_s(Settings(insert_timeout_ms=9000, session_timeout_ms=10_000))
    found = re.search(r"more than (\d+) below", str(refused.value))
    assert found
    assert _lease_s(Settings(insert_timeout_ms=10_000 - int(found[1]) - 1, session_timeout_ms=10_000)) > 0


def test_another_data_directory_is_taken_while_one_is_in_use(tmp_path: Path) -> None:
    with DataDirectory(tmp_path / "one"):
        with pytest.raises(AlreadyRunningError, match="choose another directory with --data-dir"):
            DataDirectory(tmp_path / "one").__enter__()
        with DataDirectory(tmp_path / "other"):
            pass
    with DataDirectory(tmp_path / "one"):  # the other remedy: it was stopped
        pass


def test_another_directory_can_be_made_private(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotPrivateError, match="--data-dir"):
        make_private(tmp_path / "file" / "data")
    make_private(tmp_path / "data")


def test_without_the_broken_file_the_stack_is_found_to_be_none(tmp_path: Path) -> None:
    endpoints_file(tmp_path).parent.mkdir()
    endpoints_file(tmp_path).write_text("{")
    refused = CliRunner().invoke(main, ["trace", "list", "--data-dir", str(tmp_path)])
    assert f"{endpoints_file(tmp_path)} cannot be read" in refused.output
    endpoints_file(tmp_path).unlink()
    assert read_endpoints(tmp_path) is None


def test_with_port_0_a_taken_port_is_no_matter(tmp_path: Path) -> None:
    async def chosen(port: int) -> int:
        return LocalStack(StackOptions(tmp_path, gateway_port=port), Settings(), print).settings.gateway_port

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PartFailedError, match="--port"):
            asyncio.run(chosen(port))
        assert asyncio.run(chosen(0)) not in (0, port)


def test_a_secret_that_is_set_and_the_directory_of_a_stack_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AXONSTREAM_SERVER_SECRET", raising=False)
    refused = CliRunner().invoke(main, ["keys", "list", "--data-dir", str(tmp_path)])
    assert "AXONSTREAM_SERVER_SECRET" in refused.output
    assert "--data-dir" in refused.output
    given = Settings.model_validate({"server_secret": secrets.token_hex(32)})
    assert server_secret(given, tmp_path) == given.server_secret.get_secret_value().encode()
    made = kept_secret(tmp_path)  # as `axonstream up` does
    assert server_secret(Settings(), tmp_path) == made.encode()


def test_streams_that_found_no_room_have_it_where_the_settings_give_more() -> None:
    def room(most: int, of_tenant: int) -> tuple[bool, bool]:
        shares = Shares(most, of_tenant)
        shares.take("1")
        shares.take("1")
        return shares.full, shares.has_room_for("1")

    assert room(2, 2)[0]
    assert not room(8, 2)[0]
    assert not room(8, 2)[1]
    assert room(8, 6)[1]


def test_a_deleted_jar_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list whose jars are not all there is not used: they are downloaded."""
    from axonstream.local import kafka_jars

    asked: list[str] = []

    def resolve(coordinates: str) -> list[object]:
        asked.append(coordinates)
        raise OSError("no network in this test")

    monkeypatch.setattr(kafka_jars.jgo, "resolve", resolve)
    jar = tmp_path / min(SHA256_BY_NAME)
    jar.write_bytes(b"another")
    listing = tmp_path / (f"{kafka_jars.KAFKA}+{kafka_jars.LOGGING}".replace(":", "-") + ".json")
    listing.write_text(json.dumps([str(jar)]))
    with pytest.raises(DownloadError, match="Delete the file and start again"):
        kafka_jars.kafka_classpath(tmp_path)
    assert asked == []
    jar.unlink()
    with pytest.raises(DownloadError, match="could not be downloaded"):
        kafka_jars.kafka_classpath(tmp_path)
    assert asked


@pytest.mark.services  # it needs the jars
def test_without_the_directory_that_lacks_a_jar_all_are_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from axonstream.local import kafka_jars

    real = kafka_jars.kafka_classpath(Path.home() / ".cache" / "axonstream")
    kept = tmp_path / "jars"
    kept.mkdir()
    for jar in real[:-1]:
        (kept / jar.name).symlink_to(jar)
    listing = tmp_path / (f"{kafka_jars.KAFKA}+{kafka_jars.LOGGING}".replace(":", "-") + ".json")
    listing.write_text(json.dumps([str(kept / jar.name) for jar in real[:-1]]))
    with pytest.raises(DownloadError, match=f"delete {kept} and start again"):
        kafka_jars.kafka_classpath(tmp_path)
    shutil.rmtree(kept)

    def resolve(coordinates: str) -> list[object]:
        raise OSError("no network in this test")

    monkeypatch.setattr(kafka_jars.jgo, "resolve", resolve)
    with pytest.raises(DownloadError, match="could not be downloaded"):
        kafka_jars.kafka_classpath(tmp_path)


def test_the_only_word_for_every_letter_is_all_open() -> None:
    refused = CliRunner().invoke(main, ["dead-letters", "discard"])
    assert "--all-open" in refused.output
    absent = {"AXONSTREAM_CLICKHOUSE_URL": "http://127.0.0.1:1", "AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    followed = CliRunner().invoke(main, ["dead-letters", "discard", "--all-open", "--dry-run"], env=absent)
    assert "--all-open" not in followed.output
    assert "ClickHouse cannot answer" in followed.output
    both = CliRunner().invoke(main, ["dead-letters", "discard", "--all-open", "--reason", "a"], env=absent)
    assert "leave it out, or the filters" in both.output
    one = CliRunner().invoke(main, ["dead-letters", "discard", "--reason", "a", "--dry-run"], env=absent)
    assert "ClickHouse cannot answer" in one.output


def test_with_a_kafka_that_runs_none_is_downloaded(tmp_path: Path) -> None:
    given = Settings(kafka_bootstrap_servers="127.0.0.1:1")
    assert LocalServers(given, tmp_path, 0, 0).names == ["clickhouse"]
    assert LocalServers(Settings(), tmp_path, 0, 0).names == ["kafka", "clickhouse"]
