"""What users may import, and what importing it does not need."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.metadata import version

import pytest

import axonstream
from axonstream.async_client import AsyncAxonPush, AsyncEvents, AsyncTraces
from axonstream.async_subscription import AsyncChannels, AsyncSubscription
from axonstream.client import AxonPush, Events, Traces
from axonstream.subscription import Channels, Subscription
from kit.rooms import SERVER_ROOMS

BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.removeprefix("axonstream.").partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""
SERVER_PARTS = {
    *SERVER_ROOMS,
    "aiokafka", "faust", "clickhouse_connect", "pydantic_settings", "starlette", "uvicorn", "click", "rich",
}  # fmt: skip


def run(code: str, blocked: set[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKED.format(blocked=sorted(blocked)) + code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_public_names_are_these():
    assert axonstream.__all__ == [
        "APIConnectionError",
        "APITimeoutError",
        "AsyncAxonPush",
        "AuthenticationError",
        "AxonPush",
        "AxonStreamError",
        "BatchResult",
        "ClientClosedError",
        "ConflictError",
        "Deletion",
        "Event",
        "EventInput",
        "EventType",
        "FirstError",
        "ForbiddenError",
        "NotFoundError",
        "PayloadTooLargeError",
        "RateLimitError",
        "ServerError",
        "TraceContext",
        "TraceListItem",
        "TraceSummary",
        "Traceparent",
        "UnexpectedAnswerError",
        "ValidationError",
        "__version__",
        "current_trace",
        "get_or_create_trace",
        "read_traceparent",
        "trace_scope",
    ]
    assert all(hasattr(axonstream, name) for name in axonstream.__all__)
    assert dir(axonstream) == sorted([*axonstream.__all__, "KafkaPublisher"])


def test_the_version_is_the_projects():
    assert axonstream.__version__ == version("axonstream")


@pytest.mark.slow
def test_everything_imports_and_works_without_a_server_part():
    code = (
        "from axonstream import *\n"
        "client = AxonPush('ak_local', '1')\n"
        "client.close()\n"
        f"print(sorted(set(sys.modules) & {SERVER_PARTS!r}))"
    )
    assert run(code, SERVER_PARTS) == "[]\n"


@pytest.mark.slow
def test_without_aiokafka_the_kafka_publisher_says_what_to_install():
    code = "try:\n    from axonstream import KafkaPublisher\nexcept ImportError as error:\n    print(error)"
    assert run(code, {"aiokafka"}) == 'KafkaPublisher needs aiokafka: pip install "axonstream[kafka]"\n'


def test_the_kafka_publisher_is_producers():
    from axonstream.producers.kafka_publisher import KafkaPublisher

    assert axonstream.KafkaPublisher is KafkaPublisher


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = axonstream.NoSuchName


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (AxonPush, AsyncAxonPush),
        (Channels, AsyncChannels),
        (Events, AsyncEvents),
        (Subscription, AsyncSubscription),
        (Traces, AsyncTraces),
    ],
)
def test_the_async_client_mirrors_the_sync_one(one: type, other: type):
    def calls(kind: type) -> dict[str, list[str]]:
        public = {
            name: call
            for name, call in vars(kind).items()
            if inspect.isfunction(call) and (name == "__init__" or name[0] != "_")
        }
        return {
            "close" if name == "aclose" else name: [
                f"{p.name}: {p.kind.name} {p.default if p.name != 'sleep' else ''}"
                for p in inspect.signature(call).parameters.values()
            ]
            for name, call in public.items()
        }

    assert calls(one) == calls(other)


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", ["axonstream.sinks.worker", "axonstream.stream_processors.worker", "axonstream.gateway.server"]
)
def test_a_server_part_loads_no_http_client(part: str) -> None:
    """It uses the contract of events alone; with the clients each took 6 MB more."""
    assert run(f"import sys, {part}; print(sorted({{'httpx', 'rich'}} & sys.modules.keys()))", set()).strip() == "[]"
