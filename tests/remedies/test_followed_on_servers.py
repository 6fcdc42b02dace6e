"""What a message says to do is done, and helps: those remedies that need Kafka, ClickHouse or a stack."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from clickhouse_connect.driver.asyncclient import AsyncClient
from pydantic import SecretStr

from axonstream import AxonPush
from axonstream.clickhouse.client import connect
from axonstream.deploy.init import initialise
from axonstream.kafka.client import kafka_options
from axonstream.kafka.errors import NoTopicError, TopicMismatchError
from axonstream.kafka.topic_admin import make_topics
from axonstream.kafka.topics import Topics
from axonstream.local.endpoints import Endpoints
from axonstream.local.free_ports import free_port
from axonstream.settings.gateway import LOCAL_KEYS
from axonstream.settings.settings import Settings
from axonstream.sinks.errors import EpochError
from axonstream.sinks.positions.incarnations import current_epoch
from axonstream.sinks.schema import migrate
from kit.command_line import axonstream, environment, running_part
from kit.gateway_process import gateway_process

pytestmark = pytest.mark.services

WITHIN_S = 60


@pytest.fixture
def bare(server_settings: Settings) -> Settings:
    """Of an installation on which `axonstream init` has not run."""
    return server_settings.model_copy(
        update={
            "topic_prefix": f"bare-{server_settings.topic_prefix}",
            "clickhouse_database": f"bare_{server_settings.clickhouse_database}",
            "server_secret": SecretStr(token_hex(32)),
        }
    )


@asynccontextmanager
async def database(settings: Settings) -> AsyncGenerator[AsyncClient]:
    client = await connect(settings)
    try:
        yield client
    finally:
        await client.command(f"DROP DATABASE {settings.clickhouse_database}")
        await client.close()


def test_what_names_init_works_after_init(bare: Settings) -> None:
    """Commands and processor; a gateway that runs already finds the topics by itself."""
    own = environment(bare)
    refused = (
        ("processor",),
        ("keys", "list"),
        ("audit", "list"),
        ("prices", "list"),
        ("sql", "SELECT count() FROM events"),
    )
    with gateway_process(bare, free_port()) as (_, printed), ThreadPoolExecutor(len(refused)) as pool:
        answers = pool.map(lambda words: axonstream(own, *words), refused)  # two of them wait for the topic
        for words, (code, said) in zip(refused, answers, strict=True):
            assert code != 0, words
            assert "`axonstream init`" in said, (words, said)
        code, said = axonstream(own, "init")
        assert code == 0, said
        answers = pool.map(lambda words: axonstream(own, *words), refused[1:])
        for words, (code, said) in zip(refused[1:], answers, strict=True):
            assert code == 0, (words, said)
        assert any(line.startswith("ready gateway") for line in printed)
    with running_part(own, "processor") as processor:
        processor.until_said("ready processor\n")


def test_a_sink_that_knows_no_topic_or_no_epoch_goes_on_after_init(bare: Settings) -> None:
    async def story() -> None:
        await asyncio.to_thread(migrate, bare)
        async with database(bare) as client:
            with pytest.raises(NoTopicError, match="does not exist: run `axonstream init`"):
                await current_epoch(bare, client)
            await make_topics(bare)
            with pytest.raises(EpochError, match="knows no epoch of the topics: run `axonstream init`"):
                await current_epoch(bare, client)
            await initialise(bare)
            assert await current_epoch(bare, client) == 1

    asyncio.run(story())


def test_a_kafka_that_takes_the_place_of_another_is_refused_before_it_is_changed_and_taken_with_new_epoch(
    bare: Settings,
) -> None:
    topics = Topics(bare.topic_prefix)

    async def made() -> bool:
        admin = AIOKafkaAdminClient(**kafka_options(bare))
        await admin.start()
        try:
            return topics.events in await admin.list_topics()
        finally:
            await admin.close()

    async def story() -> None:
        await asyncio.to_thread(migrate, bare)
        async with database(bare) as client:
            rows = [[3, "another", topic, "0"] for topic in (topics.events, topics.summaries)]
            await client.insert("topic_epochs", rows, column_names=["epoch", "cluster_id", "topic", "topic_id"])
            code, said = await asyncio.to_thread(axonstream, environment(bare), "init")
            assert code == 1
            assert "came from cluster another (epoch 3). Nothing was changed" in said
            assert not await made(), "a topic was made on a Kafka that may be somebody else's"
            code, said = await asyncio.to_thread(axonstream, environment(bare), "init", "--new-epoch")
            assert code == 0, said
            assert await current_epoch(bare, client) == 4

    asyncio.run(story())


def test_servers_that_do_not_answer_do_with_the_setting_that_is_named(bare: Settings) -> None:
    own = environment(bare)
    for setting, absent in (
        ("AXONSTREAM_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"),
        ("AXONSTREAM_CLICKHOUSE_URL", "http://127.0.0.1:1"),
    ):
        code, said = axonstream({**own, setting: absent}, "init")
        assert (code != 0, setting in said) == (True, True)
    code, said = axonstream({**own, "AXONSTREAM_CLICKHOUSE_URL": "http://127.0.0.1:1"}, "dead-letters", "list")
    assert (code != 0, "AXONSTREAM_CLICKHOUSE_URL" in said) == (True, True)
    code, said = axonstream(own, "dead-letters", "list")  # the database is not there
    assert (code != 0, "`axonstream init`" in said) == (True, True)
    assert axonstream(own, "init")[0] == 0
    assert axonstream(own, "dead-letters", "list")[0] == 0

    wrong = {**own, "AXONSTREAM_CLICKHOUSE_PASSWORD": "wrong"}
    code, said = axonstream(wrong, "sql", "SELECT 1")
    assert code != 0
    assert "AXONSTREAM_CLICKHOUSE_USER and AXONSTREAM_CLICKHOUSE_PASSWORD" in said
    code, said = axonstream({**own, "AXONSTREAM_CLICKHOUSE_URL": "http://127.0.0.1:1"}, "sql", "SELECT 1")
    assert (code != 0, "AXONSTREAM_CLICKHOUSE_URL" in said) == (True, True)
    assert "axonstream sql 'SELECT count() FROM events'" in axonstream(own, "sql", "")[1]
    assert axonstream(own, "sql", "SELECT count() FROM events")[0] == 0


def test_a_stack_is_reached_by_url_key_and_tenant(endpoints: Endpoints, tmp_path: Path) -> None:
    url = endpoints.gateway_url
    with AxonPush("ak_other", "2", base_url=url) as client:
        client.events.publish("found", {}, 1, trace_id="tr_of_another_tenant")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AXONSTREAM_")}
    nowhere = {**clean, "AXONSTREAM_GATEWAY_PORT": "1"}
    where = ("--data-dir", str(tmp_path))

    code, said = axonstream(nowhere, "trace", "list", *where)
    assert (code != 0, "`axonstream up`" in said, "--url" in said) == (True, True, True)
    assert axonstream(nowhere, "trace", "list", *where, "--url", url)[0] == 0

    code, said = axonstream(nowhere, "trace", "show", "tr_of_another_tenant", *where, "--url", url)
    assert (code != 0, "--tenant names another tenant" in said) == (True, True)
    assert "`axonstream trace list` prints the newest" in said
    wrong = axonstream(nowhere, "trace", "list", *where, "--url", url, "--api-key", "ak_nobodys_key_at_all")
    assert (wrong[0] != 0, "with --api-key and --tenant" in wrong[1]) == (True, True)
    right = ("--url", url, "--api-key", "ak_other", "--tenant", "2")
    code, said = axonstream(nowhere, "trace", "list", *where, *right)
    assert "tr_of_another_tenant" in said
    code, said = axonstream(nowhere, "trace", "show", "tr_of_another_tenant", *where, *right)
    assert (code, "found" in said) == (0, True)


def test_a_gateway_answers_to_the_name_that_its_settings_add(server_settings: Settings) -> None:
    async def answered(hosts: str) -> tuple[int, str]:
        port = free_port()
        given = server_settings.model_copy(update={"gateway_hosts": hosts})
        with gateway_process(given, port, LOCAL_KEYS) as (_, printed):
            assert await asyncio.to_thread(lambda: any(line.startswith("ready gateway") for line in printed))
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                answer = await client.get("/health/live", headers={"Host": "traces.example"})
        return answer.status_code, answer.text

    code, said = asyncio.run(answered(""))
    assert code == 421
    assert "AXONSTREAM_GATEWAY_HOSTS" in said
    assert asyncio.run(answered("traces.example"))[0] == 200


def test_the_partition_count_that_exists_or_a_new_prefix_is_taken(bare: Settings) -> None:
    asyncio.run(make_topics(bare))
    other = bare.model_copy(update={"topic_partitions": bare.topic_partitions - 1})
    with pytest.raises(TopicMismatchError, match=r"AXONSTREAM_TOPIC_PARTITIONS .*new AXONSTREAM_TOPIC_PREFIX"):
        asyncio.run(make_topics(other))
    asyncio.run(make_topics(bare))
    asyncio.run(make_topics(other.model_copy(update={"topic_prefix": f"new-{other.topic_prefix}"})))


def test_a_second_gateway_on_a_port_ends_and_leaves_the_first_alone(server_settings: Settings) -> None:
    port, another = free_port(), free_port()
    own = environment(server_settings) | {"AXONSTREAM_GATEWAY_PORT": str(port)}
    with running_part(own, "gateway") as first:
        first.until_said("ready gateway\n")
        with running_part(own, "gateway") as second:
            assert second.ended() != 0
            assert f"cannot listen on 127.0.0.1 port {port}" in second.said
            assert "stop what listens there, or set AXONSTREAM_GATEWAY_PORT" in second.said
        assert httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
        with running_part(own | {"AXONSTREAM_GATEWAY_PORT": str(another)}, "gateway") as elsewhere:
            elsewhere.until_said("ready gateway\n")
        assert first.stop() == 0
    with running_part(own, "gateway") as second:  # "stop what listens there"
        second.until_said("ready gateway\n")
