"""Keys and secrets of the settings: a known or weak one opens nothing that another machine can reach."""

from __future__ import annotations

from random import Random
from secrets import token_hex

import pytest
from click import ClickException
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from axonstream.cli.checked_settings import checked_settings
from axonstream.settings.gateway import LEAST_KEY, LEAST_SECRET
from axonstream.settings.loopback import all_loopback, is_loopback
from axonstream.settings.secret_strength import weakness
from axonstream.settings.settings import Settings

ELSEWHERE = [
    {"gateway_host": "0.0.0.0"},
    {"gateway_host": ""},
    {"gateway_host": "::"},
    {"gateway_host": "10.0.0.5"},
    {"gateway_host": "localhost.example"},
    {"kafka_bootstrap_servers": "kafka-1:9092"},
    {"kafka_bootstrap_servers": "127.0.0.1:9092,kafka-1:9092"},
    {"kafka_bootstrap_servers": ""},
]
WEAK = [
    "a",
    "a" * 64,
    "ab" * 20,
    "abcdefgh" * 4,
    "0123456789abcdef0123",
    "changeme-changeme-chan",
    "zyxwvutsrqponmlkjihg",
]


def test_the_key_that_everybody_knows_exists_on_loopback_alone() -> None:
    """S7: without AXONSTREAM_API_KEYS, ak_local opened tenant 1 of every server, on every address, with all scopes."""
    assert Settings().tenants_by_key() == {"ak_local": "1"}
    assert Settings(gateway_host="::1", kafka_bootstrap_servers="[::1]:9092,localhost:1").tenants_by_key() != {}
    for changes in ELSEWHERE:
        assert Settings.model_validate(changes).tenants_by_key() == {}, changes
        assert Settings().model_copy(update=changes).tenants_by_key() == {}, changes


def test_empty_means_no_keys_everywhere() -> None:
    """S7: a fleet could not do without a static key that has every scope and never ends."""
    for changes in ({}, *ELSEWHERE):
        assert Settings.model_validate({"api_keys": SecretStr(""), **changes}).tenants_by_key() == {}


@pytest.mark.parametrize("changes", ELSEWHERE)
@pytest.mark.parametrize("key", WEAK)
def test_a_weak_key_is_refused_where_others_can_try_it(key: str, changes: dict[str, str]) -> None:
    """S7: `a=1` was accepted as a key of a server that listens on every address."""
    with pytest.raises(
        ValidationError, match=r"key 2 can be tried from other machines .*openssl rand -hex 32"
    ) as refused:
        Settings.model_validate({"api_keys": SecretStr(f"{token_hex(32)}=1,{key}=2"), **changes})
    assert key == "a" or key not in str(refused.value)


def test_on_loopback_a_key_may_be_short() -> None:
    assert Settings(api_keys=SecretStr("a=1")).tenants_by_key() == {"a": "1"}


@pytest.mark.parametrize("secret", WEAK)
def test_a_weak_server_secret_is_refused_and_not_shown(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S7: aaaaaaaaaaaaaaaa was accepted, and whoever reads the control topic guesses such a secret offline."""
    with pytest.raises(ValidationError, match="openssl rand -hex 32"):
        Settings(server_secret=SecretStr(secret))
    monkeypatch.setenv("AXONSTREAM_SERVER_SECRET", secret)
    with pytest.raises(ValidationError) as shown:
        Settings()
    with pytest.raises(ClickException, match="AXONSTREAM_SERVER_SECRET: the secret ") as said:
        checked_settings()
    assert secret == "a" or secret not in str(shown.value) + said.value.message


@given(st.integers(0, 2**64))
def test_what_openssl_makes_is_never_refused(seed: int) -> None:
    made = Random(seed).randbytes(32).hex()
    assert weakness(made, LEAST_SECRET) is None
    assert weakness(f"ak_{made[:32]}", LEAST_KEY) is None


@given(st.text(max_size=8).filter(bool), st.integers(2, 40))
def test_a_text_that_is_repeated_is_refused_however_long(part: str, times: int) -> None:
    assert weakness(part * times, LEAST_SECRET) is not None


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST", "localhost.", "::1", "[::1]", " 127.0.0.1 "]
)
def test_these_are_loopback(host: str) -> None:
    assert is_loopback(host)
    assert all_loopback(f"{host.strip()}:9092" if host != "::1" else "[::1]:9092")


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.1", "127.1", "127.0.0.1.example", "fe80::1"])
def test_these_are_not(host: str) -> None:
    assert not is_loopback(host)
    assert not all_loopback(host)
