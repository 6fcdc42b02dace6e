"""Which tenant a key belongs to is never a guess."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from producers.settings import Settings


def test_keys_and_tenants_are_trimmed() -> None:
    assert Settings(api_keys=SecretStr("a=1, b = team-b")).tenants_by_key() == {"a": "1", "b": "team-b"}


@pytest.mark.parametrize("keys", ["", "a", "a=", "=1", "a=1,", "a=1,a=2", "a=" + "x" * 257, "a=\x1b", "ä=1"])
def test_keys_that_could_be_misread_are_refused(keys: str) -> None:
    with pytest.raises(ValidationError, match="api_keys"):
        Settings(api_keys=SecretStr(keys))
