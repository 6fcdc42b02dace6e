"""The local stack of `axonstream up`, and what every process prints."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from axonstream.settings.part import PartSettings


class LocalSettings(PartSettings):
    """Where the stack keeps its data, and how much is logged."""

    data_dir: Path = Field(
        default=Path(".axonstream"), description="Directory in which `axonstream up` keeps everything."
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL.")
