"""Internals of Faust, aiokafka, clickhouse-connect and uvicorn are used; right for exactly this source of them.

When this fails, a version was changed. Read what is different in the methods named, compare with what
`stream_processors/`: `chunked_consumer`, `chunked_producer`, `leased_thread`, `membership`, `changelog_fence`,
`trace_table`, `prompt_tables`, `consumed` and `patient_fetch`, `sinks/`: `assignment` and `insert_body`, and
`producers/`: `kafka_client`, and `gateway/`: `http_protocol` and `exchange` rely on, run the tests that need services,
and only then write down the new hashes (the failure prints them).
"""

from __future__ import annotations

import hashlib
import inspect
from importlib.metadata import version
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator
from aiokafka.producer.sender import Sender
from aiokafka.producer.transaction_manager import TransactionManager
from clickhouse_connect.driver._backend.http_async import HttpAsyncBackend, release_lease
from faust.app.base import App
from faust.stores.memory import Store
from faust.tables.base import Collection
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import conductor, consumer
from faust.transport.drivers import aiokafka as driver
from mode import Service
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

VERSIONS = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0", "clickhouse-connect": "1.12.0", "uvicorn": "0.54.0"}

OVERRIDDEN: list[Any] = [
    consumer.ThreadDelegateConsumer._getmany,
    consumer.ThreadDelegateConsumer._commit,
    consumer.Consumer.perform_seek,
    consumer.Consumer.resume_flow,
    consumer.Consumer.on_buffer_full,
    consumer.Consumer.on_partitions_revoked,
    consumer.Consumer.on_partitions_assigned,
    consumer.Consumer._filter_tps_with_pending_acks,
    consumer.Consumer._new_offset,
    consumer.Consumer._add_gap,
    consumer.ConsumerThread.on_partitions_assigned,
    driver.AIOKafkaConsumerThread.on_start,
    driver.AIOKafkaConsumerThread._create_consumer,
    driver.AIOKafkaConsumerThread._fetch_records,
    driver.AIOKafkaConsumerThread.close,
    driver.Consumer._new_consumer_thread,
    driver.Producer._settings_extra,
    driver.Producer._new_producer,
    Collection.apply_changelog_batch,
    Collection.on_recovery_completed,
    TableManager.on_start,
    TableManager.recovery.fget,
    Recovery._wait,
    App.on_first_start,
]
RELIED_UPON: list[Any] = [
    consumer.Consumer.getmany,
    consumer.Consumer._wait_next_records,
    consumer.Consumer._drain_messages,
    consumer.Consumer._commit_tps,
    consumer.Consumer._filter_committable_offsets,
    consumer.Consumer._commit_offsets,
    consumer.Consumer._should_commit,
    consumer.Consumer.stop_flow,
    consumer.Consumer.pause_partitions,
    consumer.Consumer.resume_partitions,
    driver.Consumer._to_message,
    driver.AIOKafkaConsumerThread._create_worker_consumer,
    driver.AIOKafkaConsumerThread._commit,
    driver.AIOKafkaConsumerThread.on_thread_stop,
    driver.AIOKafkaConsumerThread.seek,
    driver.AIOKafkaConsumerThread._seek_wait,
    driver.ConsumerRebalanceListener.on_partitions_revoked,
    driver.ConsumerRebalanceListener.on_partitions_assigned,
    conductor.Conductor._subscriber,
    conductor.ConductorCompiler.build,
    App._on_partitions_revoked,
    App._on_partitions_assigned,
    App._on_rebalance_when_stopped,
    App.on_rebalance_start,
    App.on_rebalance_end,
    TableManager._update_channels,
    TableManager.wait_until_tables_registered,
    Recovery.on_rebalance,
    Recovery._restart_recovery,
    Recovery._seek_offsets,
    Service.wait_first,
    Recovery.on_recovery_completed,
    Recovery._slurp_changelogs,
    Recovery.need_recovery,
    Store.on_recovery_completed,
    FetchResult.getall,
    PartitionRecords._unpack_records,
    PartitionRecords._consumer_record,
    Fetcher._proc_fetch_request,
    Fetcher._fetch_requests_routine,
    Fetcher._get_actions_per_node,
    Fetcher.fetched_records,
    Fetcher.seek_to,
    Fetcher._create_fetch_waiter,
    Assignment.all_consumed_offsets,
    AIOKafkaConnection.send,
    AIOKafkaConnection._send_sasl_token,
    AIOKafkaClient._md_synchronizer,
    AIOKafkaClient._metadata_update,
    AIOKafkaClient._get_conn,
    AIOKafkaClient.coordinator_lookup,
    GroupCoordinator._do_heartbeat,
    GroupCoordinator.ensure_coordinator_known,
    GroupCoordinator._heartbeat_routine,
    GroupCoordinator._do_rejoin_group,
    GroupCoordinator._send_req,
    GroupCoordinator.reset_generation,
    TransactionManager.sequence_number,
    TransactionManager.increment_sequence_number,
    BatchBuilder.append,
    BatchBuilder.close,
    MessageAccumulator._append_batch,
    MessageAccumulator._pop_batch,
    MessageAccumulator.drain_by_nodes,
    MessageAccumulator.reenqueue,
    Sender._sender_routine,
    HttpAsyncBackend.request,
    release_lease,
    HttpToolsProtocol,
    RequestResponseCycle,
    FlowControl,
]
HASHES: dict[str, str] = {
    "aiokafka.client.AIOKafkaClient.coordinator_lookup": "19cc69fb75f8",
    "aiokafka.consumer.group_coordinator.GroupCoordinator.ensure_coordinator_known": "4dfb9ccd877a",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread.close": "d22efc59a1df",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread.on_thread_stop": "8dfc004e258b",
    "faust.app.base.App._on_rebalance_when_stopped": "1b172d9af8ff",
    "aiokafka.consumer.fetcher.Fetcher._create_fetch_waiter": "61d840568746",
    "aiokafka.client.AIOKafkaClient._get_conn": "68ce5d839171",
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol": "18fdf324b11b",
    "uvicorn.protocols.http.httptools_impl.RequestResponseCycle": "e67d470d435d",
    "uvicorn.protocols.http.flow_control.FlowControl": "126debcdaa89",
    "aiokafka.conn.AIOKafkaConnection.send": "5909ea32f4ef",
    "aiokafka.conn.AIOKafkaConnection._send_sasl_token": "7a3d948fc526",
    "aiokafka.client.AIOKafkaClient._md_synchronizer": "e0421bffa9a7",
    "aiokafka.client.AIOKafkaClient._metadata_update": "06dc51ed3e0d",
    "faust.transport.consumer.ThreadDelegateConsumer._getmany": "f9d47aa9010b",
    "faust.transport.consumer.ThreadDelegateConsumer._commit": "a20eec84e4b2",
    "faust.transport.consumer.Consumer.perform_seek": "0e8c130ff4b0",
    "faust.transport.consumer.Consumer.on_buffer_full": "c8961679e0bc",
    "faust.transport.consumer.Consumer.on_partitions_revoked": "d04b7ae72c6f",
    "faust.transport.consumer.Consumer.on_partitions_assigned": "29ce96596f05",
    "faust.transport.consumer.Consumer._filter_tps_with_pending_acks": "f6f923977423",
    "faust.transport.consumer.Consumer._new_offset": "1d2c7ea89a7a",
    "faust.transport.consumer.Consumer._add_gap": "4df2573ded7c",
    "faust.transport.consumer.ConsumerThread.on_partitions_assigned": "e59e8dda4372",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread.on_start": "38b4e8bd1e10",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._create_consumer": "a4dc6ba0681a",
    "faust.transport.drivers.aiokafka.Consumer._new_consumer_thread": "0870ec53dea7",
    "faust.transport.drivers.aiokafka.Producer._settings_extra": "a4c7bc41b638",
    "faust.transport.drivers.aiokafka.Producer._new_producer": "e72355c3430e",
    "faust.tables.base.Collection.apply_changelog_batch": "b980a78d3ae9",
    "faust.tables.base.Collection.on_recovery_completed": "b1526fb39ea0",
    "faust.tables.manager.TableManager.on_start": "365dd25fbc0e",
    "faust.app.base.App.on_first_start": "ec655d9c2234",
    "faust.transport.consumer.Consumer.resume_flow": "db59630f25b5",
    "faust.tables.manager.TableManager.recovery": "f0bf5de78b4c",
    "faust.tables.recovery.Recovery._wait": "ec7429b70176",
    "faust.tables.recovery.Recovery._seek_offsets": "19598ca63d94",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._seek_wait": "9d221e816d94",
    "mode.services.Service.wait_first": "feade6a31f8a",
    "faust.transport.consumer.Consumer.getmany": "4b168d84882a",
    "faust.transport.consumer.Consumer._wait_next_records": "6218e1969a63",
    "faust.transport.consumer.Consumer._drain_messages": "44a2500309e8",
    "faust.transport.consumer.Consumer._commit_tps": "a20e230b05ae",
    "faust.transport.consumer.Consumer._filter_committable_offsets": "dc5e9baf5d99",
    "faust.transport.consumer.Consumer._commit_offsets": "1a6979904118",
    "faust.transport.consumer.Consumer._should_commit": "5ce941793947",
    "faust.transport.consumer.Consumer.stop_flow": "cf7e875a2b0d",
    "faust.transport.consumer.Consumer.pause_partitions": "27a1c94bdacd",
    "faust.transport.consumer.Consumer.resume_partitions": "afe6b7c02a41",
    "faust.transport.drivers.aiokafka.Consumer._to_message": "7c24f6511b2f",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._create_worker_consumer": "c2701bfc3e6f",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._fetch_records": "39a2c6c79fc1",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._commit": "932852ce7a23",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread.seek": "1498560d05f0",
    "faust.transport.drivers.aiokafka.ConsumerRebalanceListener.on_partitions_revoked": "348c3aec879f",
    "faust.transport.drivers.aiokafka.ConsumerRebalanceListener.on_partitions_assigned": "1c1f8406ad36",
    "faust.transport.conductor.Conductor._subscriber": "2a7908583404",
    "faust.transport.conductor.ConductorCompiler.build": "837cf521368c",
    "faust.app.base.App._on_partitions_revoked": "d5c895bbe57d",
    "faust.app.base.App._on_partitions_assigned": "de932b7927db",
    "faust.app.base.App.on_rebalance_start": "5c1e23de3067",
    "faust.app.base.App.on_rebalance_end": "b7ff69e1e377",
    "faust.tables.manager.TableManager._update_channels": "88e3941facc9",
    "faust.tables.manager.TableManager.wait_until_tables_registered": "e9bed5b158ee",
    "faust.tables.recovery.Recovery.on_rebalance": "aa4d997a1795",
    "faust.tables.recovery.Recovery._restart_recovery": "6bd8a8558a2d",
    "faust.tables.recovery.Recovery.on_recovery_completed": "6ef567acf072",
    "faust.tables.recovery.Recovery._slurp_changelogs": "7825c7e50f76",
    "faust.tables.recovery.Recovery.need_recovery": "fd1dc345b5d5",
    "faust.stores.memory.Store.on_recovery_completed": "a00bef343e13",
    "aiokafka.consumer.fetcher.FetchResult.getall": "3e717e30de50",
    "aiokafka.consumer.fetcher.PartitionRecords._unpack_records": "b803e6d46480",
    "aiokafka.consumer.fetcher.Fetcher.fetched_records": "be4348896b9b",
    "aiokafka.consumer.fetcher.Fetcher.seek_to": "f0ba6aba6c22",
    "aiokafka.consumer.subscription_state.Assignment.all_consumed_offsets": "5ca3ea96ea87",
    "aiokafka.consumer.group_coordinator.GroupCoordinator._do_heartbeat": "dc1d6632aaa6",
    "aiokafka.consumer.group_coordinator.GroupCoordinator._heartbeat_routine": "61d010289522",
    "aiokafka.consumer.group_coordinator.GroupCoordinator._do_rejoin_group": "3cb016c98a08",
    "aiokafka.consumer.group_coordinator.GroupCoordinator._send_req": "fa4b12e914ce",
    "aiokafka.consumer.group_coordinator.GroupCoordinator.reset_generation": "537aa37c531b",
    "aiokafka.producer.transaction_manager.TransactionManager.sequence_number": "c2b996db5041",
    "aiokafka.producer.transaction_manager.TransactionManager.increment_sequence_number": "0fce01d42f0f",
    "aiokafka.producer.message_accumulator.BatchBuilder.append": "657d76f55157",
    "aiokafka.producer.message_accumulator.BatchBuilder.close": "084fb8748d27",
    "aiokafka.producer.message_accumulator.MessageAccumulator._append_batch": "4762abfc42cb",
    "aiokafka.producer.message_accumulator.MessageAccumulator._pop_batch": "41cc98a298ef",
    "aiokafka.producer.message_accumulator.MessageAccumulator.drain_by_nodes": "fc995afbfc57",
    "aiokafka.producer.message_accumulator.MessageAccumulator.reenqueue": "f75f518a1ae2",
    "aiokafka.producer.sender.Sender._sender_routine": "2380dc5e333d",
    "aiokafka.consumer.fetcher.PartitionRecords._consumer_record": "e668541600b0",
    "aiokafka.consumer.fetcher.Fetcher._proc_fetch_request": "59bf948fff47",
    "aiokafka.consumer.fetcher.Fetcher._fetch_requests_routine": "2a8ec5932644",
    "aiokafka.consumer.fetcher.Fetcher._get_actions_per_node": "1dab2cf937d1",
    "clickhouse_connect.driver._backend.http_async.HttpAsyncBackend.request": "ee0d2ce3d92d",
    "clickhouse_connect.driver._backend.http_async.release_lease": "06dab254cfbd",
}


def hashed(method: Any) -> tuple[str, str]:
    """Name of a method, and the start of the SHA-256 of its source."""
    function = getattr(method, "fun", method)  # what mode.Service.task wraps
    source = inspect.getsource(function)
    return f"{function.__module__}.{function.__qualname__}", hashlib.sha256(source.encode()).hexdigest()[:12]


def test_the_pinned_versions_are_installed() -> None:
    assert {package: version(package) for package in VERSIONS} == VERSIONS


def test_the_source_of_every_hooked_method_is_the_one_this_was_written_for() -> None:
    now = dict(hashed(method) for method in (*OVERRIDDEN, *RELIED_UPON))
    changed = sorted(name for name in now.keys() | HASHES.keys() if now.get(name) != HASHES.get(name))
    assert not changed, f"{__doc__}\nchanged: {changed}\nnow: {now}"
