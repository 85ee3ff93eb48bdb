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
from deploy.relay.database import Entry, Memory
from deploy.relay.downlink import Downlink
from deploy.relay.http_server import Web
from deploy.relay.ingest import Intake
from deploy.relay.outputs import Outputs
from deploy.relay.sparkplug_edge import Edge, Host
from deploy.relay.sparkplug_payload import asks_rebirth
from protocols.errors import DecodeError
from protocols.telemetry import message as parcel

_ROOT = "coldloop/v1"
_BATCH = 200
"""Messages in one transaction, at most."""
_PATIENCE_S = 0.05
_BACKLOG = 5000
_MOST_WAITING = 20_000
"""Blocks that may wait in memory for an output or a schema; the file has them all."""


@dataclass(slots=True)
class Options:
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

    def __init__(self, options: Options) -> None:
        self.options = options
        self._work: queue.Queue[tuple[str, bytes, object]] = queue.Queue(_BACKLOG)
        self._stopping = threading.Event()
        try:
            self._memory = Memory(options.store, options.name)
        except sqlite3.Error as error:
            raise DeployError(f"{options.store}: {error}") from None
        self.intake = Intake(self._memory, options.keys)
        self.edge: Edge | None = None
        if options.sparkplug is not None:
            bd_seq = self._memory.next_bd_seq()
            self.edge = Edge(options.sparkplug, options.name, bd_seq, _now_ms)
        self._host = Host(options.primary)
        self._units = self._client(f"coldloop-relay-{options.name}", clean=False)
        self._units.manual_ack_set(True)
        self._node = self._client(f"coldloop-node-{options.name}", clean=True)
        self.outputs = Outputs(self._say, self.edge, options.json_root, options.lines)
        self._waiting: list[Entry] = self._memory.outbox()
        self._again: list[tuple[str, bytes, object]] = []
        self._rebirth = threading.Event()
        self._gone: queue.Queue[str] = queue.Queue()
        self.web: Web | None = None
        self.down: Downlink | None = None
        self.ready = threading.Event()
        """The broker has taken the subscription: from now on nothing passes by."""

    # Connections.

    def _client(self, ident: str, clean: bool) -> mqtt.Client:
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
        units, node = self._units, self._node
        units.on_connect = self._units_up
        units.on_message = self._heard
        units.on_subscribe = lambda *_: self.ready.set()
        node.on_connect = self._node_up
        node.on_message = self._commanded
        if self.edge is not None:
            topic, payload, qos, retain = self.edge.will()
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
            self.down = Downlink(
                *(options.gateway, options.modems, options.keys),
                *(options.gather_s, options.gateway_login),
            )
        if self.options.http is not None:
            self.web = Web(*self.options.http, self._metrics, self._posted)

    def _units_up(self, client: mqtt.Client, *_: object) -> None:
        shared = f"$share/{self.options.group}/{_ROOT}/+/+/tele"
        client.subscribe([(shared, 1), (f"{_ROOT}/+/+/state", 1)])

    def _node_up(self, client: mqtt.Client, *_: object) -> None:
        if self.edge is not None:
            client.subscribe([(self.edge.command_topic(), 1), (self._host.topic, 1)])
            self._rebirth.set()

    def _heard(self, _: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
        """Queue a unit's message; it is acknowledged when it is kept."""
        words = message.topic.split("/")
        unit = "/".join(words[2:4])
        if words[-1] == "state":
            if b'"online":false' in message.payload.replace(b" ", b""):
                self._gone.put(unit)
            self._units.ack(message.mid, message.qos)
        elif message.payload[:1] == b"{":
            self._units.ack(message.mid, message.qos)  # a row of a unit without a log
        else:
            self._work.put((unit, bytes(message.payload), (message.mid, message.qos)))

    def _commanded(self, _: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
        if message.topic == self._host.topic:
            if self._host.heard(bytes(message.payload)) and self._host.online:
                self._rebirth.set()
        elif asks_rebirth(bytes(message.payload)):
            self._rebirth.set()

    def _posted(self, imei: str, message: bytes) -> bool:
        """Take a gateway's message; false when nobody could keep it."""
        unit = self.options.modems.get(imei)
        if unit is None:
            self.intake.counts["bad_messages"] += 1
            return True  # sending it again would not help
        done = threading.Event()
        self._work.put((unit, message, done))
        return done.wait(10)

    def _say(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        self._node.publish(topic, payload, qos, retain)

    def _metrics(self) -> str:
        counts = {**self.intake.counts, "blocks": self.outputs.blocks}
        if self.down is not None:
            counts.update(sent_down=self.down.posted, lost_down=self.down.lost)
        latest = {unit: dict(values) for unit, values in list(self.outputs.latest.items())}
        return row_format.as_metrics(latest, counts)

    # The loop.

    def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping.is_set():
            self.turn()

    def stop(self) -> None:
        """End `run` soon; from any thread."""
        self._stopping.set()

    def turn(self) -> None:
        """Take a batch, if there is one; hand on what can be handed on."""
        batch = self._batch()
        if batch:
            self._take(batch)
        self._rebear()
        if self._waiting and self._can_say():
            self._hand_on()

    def _batch(self) -> list[tuple[str, bytes, object]]:
        if self._again:
            again, self._again = self._again, []
            return again
        try:
            batch = [self._work.get(timeout=_PATIENCE_S)]
        except queue.Empty:
            return []
        while len(batch) < _BATCH:
            try:
                batch.append(self._work.get_nowait())
            except queue.Empty:
                break
        return batch

    def _take(self, batch: list[tuple[str, bytes, object]]) -> None:
        try:
            taken = self.intake.take([(unit, message) for unit, message, _ in batch])
        except sqlite3.Error as error:
            # Nothing was kept, so nothing is acknowledged; the batch is tried again.
            self._again = batch
            self.intake.counts["store_errors"] += 1
            sys.stderr.write(f"{self.options.store}: {error}\n")
            self._stopping.wait(1)
            return
        for unit, said in taken.receipts:
            self._units.publish(f"{_ROOT}/{unit}/ack", said, 1)
        if self.down is not None:
            for unit, number in taken.acks:
                self.down.acknowledge(unit, number)
            for unit, said in taken.down:
                self.down.say(unit, said)
        for _, _, proof in batch:
            if isinstance(proof, threading.Event):
                proof.set()
            elif isinstance(proof, tuple):
                self._units.ack(*proof)
        self._waiting.extend(taken.entries)

    def _rebear(self) -> None:
        """Say the births that are due, and the deaths of units that are gone."""
        edge = self.edge
        if edge is None or not self._node.is_connected():
            return
        if self._rebirth.is_set() and self._host.online:
            self._rebirth.clear()
            for message in edge.births():
                self._say(*message)
        while not self._gone.empty():
            for message in edge.death(self._gone.get()):
                self._say(*message)

    def _can_say(self) -> bool:
        return self._node.is_connected() and self._host.online and not self._rebirth.is_set()

    def _hand_on(self) -> None:
        """Hand on what waits; what cannot be decoded yet waits on."""
        done, kept = [], []
        for entry in self._waiting:
            ident, unit, number, kind, payload = entry
            if kind not in (parcel.ROWS, parcel.SUMMARY):
                self.outputs.note(unit, number, payload)
                done.append(ident)
                continue
            try:
                found = self.intake.decode(entry)
            except DecodeError:
                self.intake.counts["bad_blocks"] += 1
                done.append(ident)
                continue
            if found is None:
                kept.append(entry)
                continue
            self.outputs.rows(found)
            done.append(ident)
        self._waiting = kept[-_MOST_WAITING:]
        if done:
            with self._memory.transaction():
                self._memory.handed_on(done)

    def close(self) -> None:
        """Leave the broker, close all."""
        if self.web is not None:
            self.web.close()
        if self.down is not None:
            self.down.close()
        if self.edge is not None and self._node.is_connected():
            topic, payload, qos, retain = self.edge.will()
            self._node.publish(topic, payload, qos, retain).wait_for_publish(2)
        for client in (self._units, self._node):
            client.disconnect()
            client.loop_stop()
        self._memory.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
