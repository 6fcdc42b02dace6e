"""A processor that writes down when Faust calls what it overrides of Faust's classes: `python recorded_hooks.py FILE`.

One line a call, `Class.method`, when the call begins. What is called with every fetch or every second stands once
between two others.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from axonstream.settings.settings import Settings
from axonstream.stream_processors.application import ProcessorApp
from axonstream.stream_processors.faust_adapter.chunked_consumer import ChunkedConsumer
from axonstream.stream_processors.faust_adapter.chunked_producer import ChunkedProducer
from axonstream.stream_processors.faust_adapter.leased_thread import LeasedConsumerThread
from axonstream.stream_processors.faust_adapter.prompt_tables import PatientRecovery, PromptTableManager
from axonstream.stream_processors.faust_adapter.trace_table import TraceTable
from axonstream.stream_processors.worker import run

HOOKED = (
    ProcessorApp,
    ChunkedConsumer,
    LeasedConsumerThread,
    ChunkedProducer,
    TraceTable,
    PromptTableManager,
    PatientRecovery,
)


def hooks(of: type) -> dict[str, Callable[..., Any]]:
    """What a class of ours overrides of those of Faust; properties are left out."""
    return {
        name: method
        for name, method in vars(of).items()
        if inspect.isfunction(method) and name != "__init__" and any(hasattr(base, name) for base in of.__mro__[1:])
    }


def record_hooks(write: Callable[[str], object]) -> None:
    for of in HOOKED:
        for name, method in hooks(of).items():
            setattr(of, name, _recorded(f"{of.__name__}.{name}", method, write))


def _recorded(name: str, method: Callable[..., Any], write: Callable[[str], object]) -> Callable[..., Any]:
    @wraps(method)
    def recorded(*args: Any, **options: Any) -> Any:
        write(name)
        return method(*args, **options)

    return recorded


def _main(path: Path) -> None:
    lock, last = threading.Lock(), ""

    def write(name: str) -> None:
        nonlocal last
        with lock:
            if name != last:
                with path.open("a") as file:
                    file.write(f"{name}\n")
            last = name

    record_hooks(write)
    run(Settings())


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
