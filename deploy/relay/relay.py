"""The relay's process: two connections to a broker, an HTTP server, one loop.

    units' broker ──$share/GROUP/coldloop/v1/+/+/tele──▶ intake ──commit──▶ outbox ──▶ outputs
                  ◀──coldloop/v1/SITE/UNIT/ack─── receipts, after the commit
    message gateway ──POST /sbd──▶ intake (envelope)     ◀── MT messages: acknowledgements

One connection is for the units (a session that is kept; a message is acknowledged to the broker
only after it is kept here), the other is the Sparkplug node's (a clean session with its will). The
broker gives each message of the shared subscription to one of the relays of the group, so that any
number of them share the load. Messages are taken in batches: one transaction, one fsync.
"""

import queue
import sqlite3
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from deploy.errors import DeployError
from deploy.relay import row_format
from deploy.relay.database import Entry, RelayDatabase
from deploy.relay.downlink import Downlink
from deploy.relay.http_server import RelayHttpServer
from deploy.relay.ingest import Ingest
from deploy.relay.outputs import Outputs
from deploy.relay.sparkplug_edge import SparkplugEdge, SparkplugHost
from deploy.relay.sparkplug_payload import is_rebirth_request
from protocols.errors import DecodeError
from protocols.telemetry import message as parcel

_ROOT = "coldloop/v1"
_BATCH = 200
"""Messages in one transaction, at most."""
_POLL_S = 0.05
_BACKLOG = 5000
_MAX_PENDING = 20_000
"""Blocks that may wait in memory for an output or a schema; the file has them all."""


@dataclass(slots=True)
class RelayOptions:
    """How a relay is started; see `coldloop relay --help`."""

    broker: tuple[str, int]
    store: Path
    name: str = "relay"
    group: str = "relay"
    keys: dict[str, bytes] = field(default_factory=dict)
    modems: dict[str, str] = field(default_factory=dict)
    sparkplug: str | None = None
    primary: str = ""
    json_root: str | None = None
    lines: Path | None = None
    http: tuple[str, int] | None = None
    gateway: str | None = None
    gateway_login: tuple[str, str] = ("", "")
    gather_s: float = 20.0
    username: str | None = None
    password: str | None = None
    ca: str | None = None


class Relay:
    """One relay; `run` until `stop`. Raises DeployError without a broker or a store."""

    def __init__(self, options: RelayOptions) -> None:
        self.options = options
        self._inbox: queue.Queue[tuple[str, bytes, object]] = queue.Queue(_BACKLOG)
        self._stopping = threading.Event()
        try:
            self._database = RelayDatabase(options.store, options.name)
        except sqlite3.Error as error:
            raise DeployError(f"{options.store}: {error}") from None
        self.ingest = Ingest(self._database, options.keys)
        self.edge: SparkplugEdge | None = None
        if options.sparkplug is not None:
            bd_seq = self._database.next_bd_seq()
            self.edge = SparkplugEdge(options.sparkplug, options.name, bd_seq, _now_ms)
        self._host = SparkplugHost(options.primary)
        self._units_client = self._make_client(f"coldloop-relay-{options.name}", clean=False)
        self._units_client.manual_ack_set(True)
        self._node_client = self._make_client(f"coldloop-node-{options.name}", clean=True)
        self.outputs = Outputs(self._publish, self.edge, options.json_root, options.lines)
        self._pending: list[Entry] = self._database.outbox()
        self._retry_batch: list[tuple[str, bytes, object]] = []
        self._births_due = threading.Event()
        self._offline_units: queue.Queue[str] = queue.Queue()
        self.http_server: RelayHttpServer | None = None
        self.downlink: Downlink | None = None
        self.ready = threading.Event()
        """The broker has taken the subscription: from now on nothing passes by."""

    # Connections.

    def _make_client(self, ident: str, clean: bool) -> mqtt.Client:
        options = self.options
        client = mqtt.Client(CallbackAPIVersion.VERSION2, ident, clean_session=clean)
        if options.username is not None:
            client.username_pw_set(options.username, options.password)
        if options.ca is not None:
            client.tls_set(options.ca)
        client.reconnect_delay_set(1, 30)
        client.max_queued_messages_set(0)
        return client

    def start(self) -> None:
        """Connect, subscribe, serve."""
        units, node = self._units_client, self._node_client
        units.on_connect = self._on_units_connected
        units.on_message = self._on_unit_message
        units.on_subscribe = lambda *_: self.ready.set()
        node.on_connect = self._on_node_connected
        node.on_message = self._on_node_message
        if self.edge is not None:
            topic, payload, qos, retain = self.edge.will_message()
            node.will_set(topic, payload, qos, retain)
        for client in (node, units):
            try:
                client.connect(*self.options.broker, keepalive=60)
            except OSError as error:
                host, port = self.options.broker
                raise DeployError(f"tcp:{host}:{port}: {error}") from None
            client.loop_start()
        options = self.options
        if options.gateway is not None:
            self.downlink = Downlink(
                *(options.gateway, options.modems, options.keys),
                *(options.gather_s, options.gateway_login),
            )
        if self.options.http is not None:
            self.http_server = RelayHttpServer(
                *self.options.http, self._metrics, self._on_gateway_message
            )

    def _on_units_connected(self, client: mqtt.Client, *_: object) -> None:
        shared = f"$share/{self.options.group}/{_ROOT}/+/+/tele"
        client.subscribe([(shared, 1), (f"{_ROOT}/+/+/state", 1)])

    def _on_node_connected(self, client: mqtt.Client, *_: object) -> None:
        if self.edge is not None:
            client.subscribe([(self.edge.command_topic(), 1), (self._host.topic, 1)])
            self._births_due.set()

    def _on_unit_message(self, _: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
        """Queue a unit's message; it is acknowledged when it is kept."""
        levels = message.topic.split("/")
        unit = "/".join(levels[2:4])
        if levels[-1] == "state":
            if b'"online":false' in message.payload.replace(b" ", b""):
                self._offline_units.put(unit)
            self._units_client.ack(message.mid, message.qos)
        elif message.payload[:1] == b"{":
            self._units_client.ack(message.mid, message.qos)  # a row of a unit without a log
        else:
            self._inbox.put((unit, bytes(message.payload), (message.mid, message.qos)))

    def _on_node_message(self, _: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
        if message.topic == self._host.topic:
            if self._host.on_state(bytes(message.payload)) and self._host.online:
                self._births_due.set()
        elif is_rebirth_request(bytes(message.payload)):
            self._births_due.set()

    def _on_gateway_message(self, imei: str, message: bytes) -> bool:
        """Take a gateway's message; false when nobody could keep it."""
        unit = self.options.modems.get(imei)
        if unit is None:
            self.ingest.counts["bad_messages"] += 1
            return True  # sending it again would not help
        is_stored = threading.Event()
        self._inbox.put((unit, message, is_stored))
        return is_stored.wait(10)

    def _publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        self._node_client.publish(topic, payload, qos, retain)

    def _metrics(self) -> str:
        counts = {**self.ingest.counts, "blocks": self.outputs.blocks}
        if self.downlink is not None:
            counts.update(sent_down=self.downlink.posted, lost_down=self.downlink.failed)
        latest = {unit: dict(values) for unit, values in list(self.outputs.latest.items())}
        return row_format.format_metrics(latest, counts)

    # The loop.

    def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping.is_set():
            self.process()

    def stop(self) -> None:
        """End `run` soon; from any thread."""
        self._stopping.set()

    def process(self) -> None:
        """Take a batch, if there is one; hand on what can be handed on."""
        batch = self._next_batch()
        if batch:
            self._ingest_batch(batch)
        self._send_births()
        if self._pending and self._can_publish():
            self._deliver()

    def _next_batch(self) -> list[tuple[str, bytes, object]]:
        if self._retry_batch:
            batch_again, self._retry_batch = self._retry_batch, []
            return batch_again
        try:
            batch = [self._inbox.get(timeout=_POLL_S)]
        except queue.Empty:
            return []
        while len(batch) < _BATCH:
            try:
                batch.append(self._inbox.get_nowait())
            except queue.Empty:
                break
        return batch

    def _ingest_batch(self, batch: list[tuple[str, bytes, object]]) -> None:
        try:
            result = self.ingest.ingest_batch([(unit, message) for unit, message, _ in batch])
        except sqlite3.Error as error:
            # Nothing was kept, so nothing is acknowledged; the batch is tried again.
            self._retry_batch = batch
            self.ingest.counts["store_errors"] += 1
            sys.stderr.write(f"{self.options.store}: {error}\n")
            self._stopping.wait(1)
            return
        for unit, receipt in result.receipts:
            self._units_client.publish(f"{_ROOT}/{unit}/ack", receipt, 1)
        if self.downlink is not None:
            for unit, number in result.acks:
                self.downlink.acknowledge(unit, number)
            for unit, receipt in result.downlink_receipts:
                self.downlink.send_receipt(unit, receipt)
        for _, _, completion in batch:
            if isinstance(completion, threading.Event):
                completion.set()
            elif isinstance(completion, tuple):
                self._units_client.ack(*completion)
        self._pending.extend(result.entries)

    def _send_births(self) -> None:
        """Say the births that are due, and the deaths of units that are gone."""
        edge = self.edge
        if edge is None or not self._node_client.is_connected():
            return
        if self._births_due.is_set() and self._host.online:
            self._births_due.clear()
            for message in edge.birth_messages():
                self._publish(*message)
        while not self._offline_units.empty():
            for message in edge.death_messages(self._offline_units.get()):
                self._publish(*message)

    def _can_publish(self) -> bool:
        return (
            self._node_client.is_connected() and self._host.online and not self._births_due.is_set()
        )

    def _deliver(self) -> None:
        """Hand on what waits; what cannot be decoded yet waits on."""
        delivered, undecoded = [], []
        for entry in self._pending:
            entry_id, unit, number, kind, payload = entry
            if kind not in (parcel.ROWS, parcel.SUMMARY):
                self.outputs.note(unit, number, payload)
                delivered.append(entry_id)
                continue
            try:
                decoded = self.ingest.decode(entry)
            except DecodeError:
                self.ingest.counts["bad_blocks"] += 1
                delivered.append(entry_id)
                continue
            if decoded is None:
                undecoded.append(entry)
                continue
            self.outputs.rows(decoded)
            delivered.append(entry_id)
        self._pending = undecoded[-_MAX_PENDING:]
        if delivered:
            with self._database.transaction():
                self._database.mark_delivered(delivered)

    def close(self) -> None:
        """Leave the broker, close all."""
        if self.http_server is not None:
            self.http_server.close()
        if self.downlink is not None:
            self.downlink.close()
        if self.edge is not None and self._node_client.is_connected():
            topic, payload, qos, retain = self.edge.will_message()
            self._node_client.publish(topic, payload, qos, retain).wait_for_publish(2)
        for client in (self._units_client, self._node_client):
            client.disconnect()
            client.loop_stop()
        self._database.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
