"""Settings that could be misread, or that would break a promise together, are refused."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from axonstream.settings.settings import Settings


def test_keys_and_tenants_are_trimmed() -> None:
    assert Settings(api_keys=SecretStr("a=1, b = team-b")).tenants_by_key() == {"a": "1", "b": "team-b"}


@pytest.mark.parametrize("keys", ["a", "a=", "=1", "a=1,", "a=1,a=2", "a=" + "x" * 257, "a=\x1b", "ä=1"])
def test_keys_that_could_be_misread_are_refused(keys: str) -> None:
    with pytest.raises(ValidationError, match="api_keys"):
        Settings(api_keys=SecretStr(keys))


def test_dead_letters_that_would_expire_before_the_events_are_refused() -> None:
    kept = Settings(events_ttl_days=40, dead_letters_ttl_days=47)
    assert (kept.events_ttl_days, kept.dead_letters_ttl_days) == (40, 47)
    with pytest.raises(ValidationError, match="Set it to 38 or more"):
        Settings(events_ttl_days=31, dead_letters_ttl_days=37)
    with pytest.raises(ValidationError, match="dead_letters_ttl_days"):
        Settings(events_ttl_days=54)  # the default of 60 is refused, too


def test_summaries_that_would_expire_before_the_events_are_refused() -> None:
    assert Settings(events_ttl_days=40, summaries_ttl_days=47).summaries_ttl_days == 47
    for days in (40, 46):
        with pytest.raises(ValidationError, match="summaries_ttl_days"):
            Settings(events_ttl_days=40, summaries_ttl_days=days)


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
