"""For Faust's own command line: `faust -A axonstream.stream_processors.app worker`.

Settings come from the environment.
"""

from __future__ import annotations

from axonstream.settings.settings import Settings
from axonstream.stream_processors.application import create_app

app = create_app(Settings())
