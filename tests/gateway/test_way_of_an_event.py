"""How many files of ours one publish passes, from the SDK to the event log: who reads its way opens as many."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from types import FrameType

from http_by_hand import PATIENCE_S, serving

from axonstream import AxonPush
from kit.offline_gateway import OfflineGateway

ROOT = Path(__file__).parent.parent.parent
MOST = 36  # one more (`body_room.py`) where the body comes after its head


class Passed:
    """The files of ours that any thread enters from now on."""

    def __init__(self) -> None:
        self.files: set[str] = set()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event != "call" or not path.is_absolute() or not (path := path.resolve()).is_relative_to(ROOT):
            return
        file = path.relative_to(ROOT)
        if file.parts[0] not in ("tests", ".venv"):
            self.files.add(str(file))


def test_a_publish_passes_few_files() -> None:
    offline, passed = OfflineGateway(), Passed()

    def publish(port: int) -> None:
        with AxonPush(api_key="ak_local", tenant_id="1", base_url=f"http://127.0.0.1:{port}") as client:
            client.events.publish("first", {}, 1)  # what is done once
            sys.setprofile(passed)
            threading.setprofile(passed)
            recording.set()
            client.events.publish("step", {"a": 1}, 1, trace_id="tr_1", metadata={"b": 2})
            sys.setprofile(None)

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving(app=offline.app) as port:
            publishing = asyncio.create_task(asyncio.to_thread(publish, port))
            while not recording.is_set() and not publishing.done():
                await asyncio.sleep(0)
            sys.setprofile(passed)
            try:
                await publishing
            finally:
                sys.setprofile(None)
                threading.setprofile(None)

    recording = threading.Event()
    asyncio.run(scenario())
    assert len(offline.log.records) == 2
    assert len(passed.files) <= MOST, sorted(passed.files)
