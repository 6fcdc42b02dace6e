"""What the settings of all parts have in common: where they are read from."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class PartSettings(BaseSettings):
    """A part's own fields, each read from `AXONSTREAM_<FIELD>`."""

    model_config = SettingsConfigDict(
        env_prefix="AXONSTREAM_",
        extra="ignore",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,  # it may be a secret
    )
