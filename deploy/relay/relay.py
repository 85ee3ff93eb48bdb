# SPDX-License-Identifier: Apache-2.0
"""Relay: the process between the broker of the units and the outputs, as one loop.

    broker of the units ──$share/GROUP/coldloop/v1/+/+/tele──▶ ingest ──commit──▶ outbox ──▶ outputs
                        ◀──coldloop/v1/SITE/UNIT/ack─── receipts, after the commit
    message gateway ──POST /sbd──▶ ingest (envelope)     ◀── MT messages: acknowledgements

Does not decode messages or write formats; see `ingest` and `outputs`.

The relay has two connections to the broker. The connection for the units has a persistent session:
the relay acknowledges a message to the broker only after the commit. The connection for the outputs
has a clean session and a will. The broker gives each message of the shared subscription to one
relay of the group, so relays share the load. The relay ingests messages in batches: one
transaction and one fsync for up to 200 messages.
"""

import queue
import sqlite3
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt

from deploy.errors import DeployError
from deploy.relay.broker_client import BrokerSettings, OutputConnection, connect, make_client
from deploy.relay.database import Entry, RelayDatabase
from deploy.relay.downlink import Downlink
from deploy.relay.http_server import RelayHttpServer
from deploy.relay.ingest import Ingest
from deploy.relay.output import OutputContext
from deploy.relay.outputs import Outputs
from protocols.errors import DecodeError
from protocols.telemetry import message as telemetry_message

_ROOT = "coldloop/v1"
_BATCH = 200
"""Maximum number of messages in one transaction."""
_POLL_S = 0.05
_BACKLOG = 5000
_MAX_PENDING = 20_000
"""Maximum number of blocks in memory that wait for an output or a schema; the file has all."""


@dataclass(slots=True)
class RelayOptions:
    """How a relay is started; see `coldloop relay --help`.

    `outputs`: the value of the option of each selected output, by name. `primary`: the Sparkplug
    host application to wait for. `http`, `gateway`: None turns them off. `shelved`: shelved alarms.
    """

    broker: BrokerSettings
    store: Path
    name: str = "relay"
    group: str = "relay"
    keys: dict[str, bytes] = field(default_factory=dict)
    modems: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    primary: str = ""
    http: tuple[str, int] | None = None
    gateway: str | None = None
    gateway_login: tuple[str, str] = ("", "")
    gather_s: float = 20.0
    shelved: Path | None = None


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
        self._units_client = make_client(
            options.broker, f"coldloop-relay-{options.name}", clean=False
        )
        self._units_client.manual_ack_set(True)
        self._output_connection = OutputConnection(options.broker, options.name)
        self._outputs = Outputs(options.outputs, self._make_output_context)
        self._pending: list[Entry] = self._database.outbox()
        self._retry_batch: list[tuple[str, bytes, object]] = []
        self.http_server: RelayHttpServer | None = None
        self.downlink: Downlink | None = None
        self.ready = threading.Event()
        """The broker has granted the subscription of the units' topics."""

    def _make_output_context(self, argument: str) -> OutputContext:
        return OutputContext(
            argument,
            self.options.name,
            self.options.primary,
            self._output_connection,
            self._database.next_bd_seq,
            _now_ms,
            self._counts,
            self._database,
            self.options.shelved,
        )

    # Connections.

    def start(self) -> None:
        """Connect, subscribe, serve."""
        units = self._units_client
        units.on_connect = self._on_units_connected
        units.on_message = self._on_unit_message
        units.on_subscribe = lambda *_: self.ready.set()
        self._output_connection.start(self._outputs)
        connect(units, self.options.broker)
        options = self.options
        if options.gateway is not None:
            self.downlink = Downlink(
                *(options.gateway, options.modems, options.keys),
                *(options.gather_s, options.gateway_login),
            )
        if options.http is not None:
            self.http_server = RelayHttpServer(
                *options.http, self._outputs.pages(), self._on_gateway_message
            )

    def _on_units_connected(self, client: mqtt.Client, *_: object) -> None:
        shared = f"$share/{self.options.group}/{_ROOT}/+/+/tele"
        client.subscribe([(shared, 1), (f"{_ROOT}/+/+/state", 1)])

    def _on_unit_message(self, _: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
        """Queue a message of a unit; the broker gets the acknowledgement after the commit."""
        levels = message.topic.split("/")
        unit = "/".join(levels[2:4])
        if levels[-1] == "state":
            if b'"online":false' in message.payload.replace(b" ", b""):
                self._outputs.on_unit_offline(unit)
            self._units_client.ack(message.mid, message.qos)
        elif message.payload[:1] == b"{":
            self._units_client.ack(message.mid, message.qos)  # a row from a unit without a log
        else:
            self._inbox.put((unit, bytes(message.payload), (message.mid, message.qos)))

    def _on_gateway_message(self, imei: str, message: bytes) -> bool:
        """Queue a message of a gateway; return whether it is stored."""
        unit = self.options.modems.get(imei)
        if unit is None:
            self.ingest.counts["bad_messages"] += 1
            return True  # a repetition would fail too
        is_stored = threading.Event()
        self._inbox.put((unit, message, is_stored))
        return is_stored.wait(10)

    def _counts(self) -> dict[str, int]:
        counts = dict(self.ingest.counts)
        if self.downlink is not None:
            counts.update(sent_down=self.downlink.posted, lost_down=self.downlink.failed)
        return counts

    # The loop.

    def run(self) -> None:
        """Process messages until `stop`."""
        while not self._stopping.is_set():
            self.process()

    def stop(self) -> None:
        """End `run`; any thread can call this."""
        self._stopping.set()

    def process(self) -> None:
        """Ingest a batch, if there is one; deliver records, if the outputs are ready."""
        batch = self._next_batch()
        if batch:
            self._ingest_batch(batch)
        self._outputs.process()
        if self._pending and self._output_connection.is_connected() and self._outputs.ready():
            self._deliver()

    def _next_batch(self) -> list[tuple[str, bytes, object]]:
        if self._retry_batch:
            retry_batch, self._retry_batch = self._retry_batch, []
            return retry_batch
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
            # Nothing is stored, so nothing is acknowledged; the next pass repeats the batch.
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

    def _deliver(self) -> None:
        """Deliver the pending records, except blocks with an unknown schema."""
        delivered, undecoded = [], []
        for entry in self._pending:
            entry_id, unit, number, kind, payload = entry
            if kind not in (telemetry_message.ROWS, telemetry_message.SUMMARY):
                self._outputs.note(unit, number, payload)
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
            self._outputs.rows(decoded)
            delivered.append(entry_id)
        self._pending = undecoded[-_MAX_PENDING:]
        if delivered:
            with self._database.transaction():
                self._database.mark_delivered(delivered)

    def close(self) -> None:
        """Close the outputs, the connections and the database."""
        if self.http_server is not None:
            self.http_server.close()
        if self.downlink is not None:
            self.downlink.close()
        self._outputs.close()
        self._units_client.disconnect()
        self._units_client.loop_stop()
        self._output_connection.close()
        self._database.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
