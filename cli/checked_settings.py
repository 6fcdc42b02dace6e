"""The settings for a command: what is wrong in the environment is one line, not a traceback."""

from __future__ import annotations

from pydantic import ValidationError

from axonstream.process.exit_codes import SettingsError
from axonstream.settings.settings import Settings


def checked_settings() -> Settings:
    """Raises SettingsError, which names the wrong variables."""
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"AXONSTREAM_{str(wrong['loc'][0]).upper()}: {wrong['msg'].removeprefix('Value error, ')}"
            for wrong in error.errors()
        )
        raise SettingsError(f"the settings in the environment are wrong: {problems}") from None
