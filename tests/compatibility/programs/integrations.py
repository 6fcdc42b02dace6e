"""What the package brings along: its LangChain handler, its handlers of three loggers, and live events where it has them.

Runs with any supported version and none of ours; prints what it saw as JSON. Arguments: base_url, trace id, channel.
"""

import importlib.util
import itertools
import json
import logging
import sys
import threading

from axonpush import AxonPush
from axonpush._tracing import get_or_create_trace
from axonpush.integrations.langchain import AxonPushCallbackHandler
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool

URL, TRACE, CHANNEL = sys.argv[1], sys.argv[2], int(sys.argv[3])
HAS = {name: importlib.util.find_spec(f"axonpush.{name}") is not None for name in ("integrations.loguru", "realtime")}
seen = {}


@tool
def web_search(query: str) -> str:
    """Search the web."""
    if query == "nothing":
        raise ValueError("nothing found")
    return f"found {query}"


def run_langchain(client):
    """A chain of a step, a tool and a model, and a tool that fails."""
    handler = AxonPushCallbackHandler(client, CHANNEL, agent_id="researcher", trace_id=TRACE)
    chain = RunnableLambda(web_search.invoke) | FakeListLLM(responses=["an answer"])
    seen["answer"] = chain.invoke("frameworks", config={"callbacks": [handler]})
    try:
        web_search.invoke("nothing", config={"callbacks": [handler]})
    except ValueError as error:
        seen["failure"] = str(error)
    if hasattr(handler, "close"):
        handler.close()


def run_loggers(client):
    """A line of each logger that the version has a handler for."""
    if not HAS["integrations.loguru"]:
        return
    import structlog
    from axonpush.integrations.logging_handler import AxonPushLoggingHandler
    from axonpush.integrations.loguru import create_axonpush_loguru_sink
    from axonpush.integrations.structlog import axonpush_structlog_processor
    from loguru import logger as loguru_logger

    get_or_create_trace(TRACE)
    handler = AxonPushLoggingHandler(client=client, channel_id=CHANNEL, service_name="api")
    own = logging.getLogger("payments")
    own.addHandler(handler)
    own.error("card %s refused", 7, extra={"user": 42})
    handler.close()

    sink = create_axonpush_loguru_sink(client=client, channel_id=CHANNEL, service_name="api")
    loguru_logger.remove()
    loguru_logger.add(sink, serialize=True)
    loguru_logger.warning("slow answer")
    sink.close()

    processor = axonpush_structlog_processor(client=client, channel_id=CHANNEL, service_name="api")
    structlog.configure(processors=[processor, structlog.processors.JSONRenderer()])
    structlog.get_logger().info("started", port=1)
    processor.close()


def follow(client):
    """The first two live events of the trace that are no others', and the one of an identifier."""
    from axonpush.realtime.sse import SSESubscription

    def publish():
        for name, trace in (("other", f"{TRACE}_other"), ("one", TRACE), ("two", TRACE)):
            client.events.publish(name, {"é": 1}, channel_id=CHANNEL, trace_id=trace, event_type="agent.message")

    transport, live = client._transport, []
    with (
        SSESubscription(transport, CHANNEL, trace_id=TRACE, event_type="agent.message") as all_of_trace,
        SSESubscription(transport, CHANNEL, event_identifier="two") as of_identifier,
    ):
        threading.Thread(target=publish).start()
        for events, number in ((all_of_trace, 2), (of_identifier, 1)):
            live.append([[event.identifier, event.payload] for event in itertools.islice(events, number)])
    seen["live"] = live


with AxonPush(api_key="ak_local", tenant_id="1", base_url=URL) as client:
    run_langchain(client)
    run_loggers(client)
    if HAS["realtime"]:
        follow(client)
print(json.dumps(seen))
