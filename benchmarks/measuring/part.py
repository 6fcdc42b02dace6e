"""`python -m benchmarks.measuring.part PART EVENTS_TOPIC`: a part of the product, reading a topic that others share.

Nothing but the name of the events topic differs from `axonstream PART`.
"""

from __future__ import annotations

import sys
from unittest.mock import patch

from axonstream.cli.main import main
from axonstream.kafka.topics import Topics

if __name__ == "__main__":
    part, events = sys.argv[1:3]
    with patch.object(Topics, "events", new=property(lambda _: events)):
        main([part])
