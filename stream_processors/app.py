"""For Faust's own command line: `faust -A stream_processors.app worker`. Settings come from the environment."""

from __future__ import annotations

from producers.settings import Settings
from stream_processors.application import create_app

app = create_app(Settings())
