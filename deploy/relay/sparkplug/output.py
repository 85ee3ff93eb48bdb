# SPDX-License-Identifier: Apache-2.0
"""Sparkplug B 3.0 output: each unit is a device of the edge node of the relay.

Does not build the messages; see `edge`. Sends the birth messages after each connection,
after a rebirth command and after the primary host comes online. Takes rows only after that.
If the primary host goes offline, the node ends its connection with NDEATH, connects again and waits
for it. A connection knows nothing of the host until its STATE message comes.

Commands of a host are signed messages, made by `coldloop config command --out`. The relay passes
them to the topic `cmd` of the unit and cannot make one. The answer is in the report of the unit.
"""

import json
import queue
import sqlite3
import threading
import time
from collections import deque

from deploy.errors import DeployError
from deploy.relay.decode.alarm_order import UnitAlarms, concerns_alarms
from deploy.relay.decode.row_format import Item, Rows
from deploy.relay.limits import UnitLimits, parse_note
from deploy.relay.outputs.base import Output, OutputContext, OutputError, is_level
from deploy.relay.outputs.http_client import RefusedError
from deploy.relay.sparkplug.dead_units import DeadUnits
from deploy.relay.sparkplug.edge import MOST_BYTES, NAMESPACE, SparkplugEdge, SparkplugMessage
from deploy.relay.sparkplug.payload import is_rebirth_request, read_signed_commands
from deploy.relay.sparkplug.primary_host import SparkplugHost
from deploy.relay.terminal_text import report
from protocols.errors import DecodeError

_KEY_PREFIX = "sparkplug/"
_DEATH_WAIT_S = 2.0
_HOST_WAIT_S = 10.0
_MOST_REBIRTHS = 3
_REBIRTHS_S = 30.0
"""Rebirth commands in this time; a further one waits. Each makes all devices be born again."""
_MOST_COMMANDS = 100
"""Commands that wait for the thread of the output."""
_MOST_COMMAND_BYTES = 4096
_MOST_ANSWER_CHARS = 4000
_OF_AN_ANSWER = ("results", "accepted", "refused", "refusal", "refused_message", "trial", "version")


class SparkplugOutput(Output):
    """The edge node in the group of the option's value."""

    USES_BROKER = True

    def __init__(self, context: OutputContext) -> None:
        super().__init__(context)
        for name in filter(None, (context.argument, context.primary)):
            if not is_level(name):
                raise DeployError(f"{name!r}: no name of a Sparkplug group or host")
        self._edge = SparkplugEdge(context.argument, context.name, -1, context.clock_ms)
        self._host = SparkplugHost(NAMESPACE, context.primary)
        self._births_due = threading.Event()
        self._rebirth_asked = threading.Event()
        self._rebirths: deque[float] = deque(maxlen=_MOST_REBIRTHS)
        self._leave_due = threading.Event()
        self._sending = threading.Lock()
        """No message of one connection must go out on the next one, before its birth messages."""
        self._connection = 0
        self._is_born = False
        self._reported: set[str] = set()
        self._waits_since: float | None = None
        self._waits_reported = False
        self._offline_units: queue.Queue[str] = queue.Queue()
        self._dead_units = DeadUnits(context.clock_ms)
        self._commands: queue.Queue[tuple[str, bytes]] = queue.Queue(_MOST_COMMANDS)
        self._reports: dict[str, bytes] = {}
        self._unsaved: set[str] = set()
        """Units whose alarms are not stored yet."""
        stored = {} if context.store is None else context.store.load_state(_KEY_PREFIX)
        for key, text in stored.items():
            alarms = UnitAlarms.load(json.loads(text))
            self._edge.alarms[key.removeprefix(_KEY_PREFIX)] = alarms

    def will(self) -> SparkplugMessage:
        """Return NDEATH with the bdSeq of the next connection."""
        try:
            self._edge.bd_seq = self.context.next_bd_seq()
        except sqlite3.Error as error:  # a full disk must not end the connections of all outputs
            self._edge.bd_seq = (self._edge.bd_seq + 1) % 256
            report(f"sparkplug: bdSeq {self._edge.bd_seq} is not stored: {error}")
        return self._edge.will_message()

    def topics(self) -> list[str]:
        """Return the topics of the commands and of the state of the primary host."""
        edge = self._edge
        return [edge.command_topic(), edge.device_command_topic(), self._host.topic]

    def on_connecting(self) -> None:
        """Drop what is of the last connection: its births and the state of the host."""
        with self._sending:
            self._connection += 1
            self._is_born = False
        self._host.forget()
        self._leave_due.clear()

    def on_connected(self) -> None:
        """Mark the birth messages as due."""
        self._births_due.set()

    def on_message(self, topic: str, payload: bytes) -> None:
        """Handle a state of the primary host, a rebirth command, a command for a unit."""
        if topic == self._host.topic:
            if self._host.on_state(payload):
                (self._births_due if self._host.online else self._leave_due).set()
        elif topic == self._edge.command_topic():
            if is_rebirth_request(payload):
                self._rebirth_asked.set()
        else:
            self._take_command(self._edge.commanded_unit(topic), payload)

    def _take_command(self, unit: str, payload: bytes) -> None:
        if not unit:
            return
        try:
            for message in read_signed_commands(payload):
                if len(message) > _MOST_COMMAND_BYTES:
                    raise ValueError(f"{len(message)} bytes")
                self._commands.put_nowait((unit, message))
        except ValueError as error:
            report(f"sparkplug: a command for {unit}: {error}")
        except queue.Full:
            report(f"sparkplug: too many commands; one for {unit} is dropped")

    def on_unit_report(self, unit: str, payload: bytes) -> None:
        """Keep the report of a unit; `process` passes its answers on."""
        self._reports[unit] = payload

    def on_unit_state(self, unit: str, payload: bytes) -> None:
        """Follow that a unit has a connection again."""
        self._dead_units.on_state(unit)

    def on_unit_offline(self, unit: str) -> None:
        """Mark the DDEATH of the unit as due."""
        self._dead_units.on_offline(unit)
        self._offline_units.put(unit)

    def process(self) -> None:
        """Send births and deaths that are due, commands to units, and their answers."""
        if not self.context.publisher.is_connected():
            return
        if self._leave_due.is_set():
            self._leave()
            return
        self._report_wait()
        self._follow_rebirth()
        if self._births_due.is_set():
            self._send_births()
        while not self._offline_units.empty():
            messages = self._edge.death_messages(self._offline_units.get())
            if self._is_born:
                self._publish(messages)
        if not self._is_born:
            return
        while not self._commands.empty():
            self._send_command(*self._commands.get())
        reports, self._reports = self._reports, {}
        for unit, payload in reports.items():
            self._publish(self._edge.answer_messages(unit, _answer_text(payload)))

    def _report_wait(self) -> None:
        """Report once that the primary host does not come."""
        now = time.monotonic()
        if self._host.online:
            self._waits_since, self._waits_reported = None, False
        elif self._waits_since is None:
            self._waits_since = now
        elif now - self._waits_since > _HOST_WAIT_S and not self._waits_reported:
            self._waits_reported = True
            report(f"sparkplug: no STATE online at {self._host.topic}; data wait for it")

    def _follow_rebirth(self) -> None:
        """Make the births due after a rebirth command; a host can ask for them without end."""
        now = time.monotonic()
        is_full = len(self._rebirths) == _MOST_REBIRTHS
        if is_full and now - self._rebirths[0] < _REBIRTHS_S:
            return
        if self._rebirth_asked.is_set():
            self._rebirth_asked.clear()
            self._rebirths.append(now)
            self._births_due.set()

    def _send_births(self) -> None:
        """Publish the birth messages, all on the same connection; otherwise they stay due."""
        connection = self._connection
        self._births_due.clear()  # before the look at the host: a new connection sets it after it
        if not self._host.online:
            self._births_due.set()
            return
        self._edge.most_bytes = min(MOST_BYTES, self.context.publisher.most_bytes())
        messages = self._edge.birth_messages()
        with self._sending:
            if connection == self._connection and self._host.online:
                for message in messages:
                    self.context.publisher.publish(*message)
                self._is_born = True
                return
        self._births_due.set()

    def _leave(self) -> None:
        """End the connection, because the primary host is offline, and begin a new one."""
        self._leave_due.clear()
        publisher = self.context.publisher
        with self._sending:
            was_born, self._is_born = self._is_born, False
        if was_born:
            self._waits_reported = True
            report(f"sparkplug: the primary host {self.context.primary} is offline; data wait")
            publisher.publish(*self._edge.will_message(), wait_s=_DEATH_WAIT_S)
        publisher.leave()

    def _send_command(self, unit: str, message: bytes) -> None:
        publisher = self.context.publisher
        publisher.publish(f"coldloop/v1/{unit}/cmd", message, 1, False)
        try:
            publisher.flush()
        except (OutputError, RefusedError) as error:
            text = json.dumps({"relay": str(error)})
            self._publish(self._edge.answer_messages(unit, text))

    def check(self) -> None:
        """Publish the message that proves a delivery. No broker refuses one with QoS 0."""
        self._prove()

    def ready(self) -> bool:
        """Return whether the primary host is online and the birth messages are sent."""
        return self._host.online and self._is_born and not self._births_due.is_set()

    def deliver(self, items: list[Item]) -> None:
        """Publish DDATA, after a DBIRTH if the device has none with these names.

        A unit that has lost its connection is dead again after its late data.
        Data have QoS 0, which the broker does not acknowledge. A last message with QoS 1 is the
        proof: a broker handles the messages of a connection in their order.
        """
        connection = self._connection
        if not self.ready():
            raise OutputError("waits for the birth messages or the primary host")
        for item in items:
            if isinstance(item, Rows):
                if item.is_dated:
                    self._publish(self._edge.data_messages(item))
            else:
                self._publish(self._edge.alarm_messages(item))
                if concerns_alarms(item):
                    self._unsaved.add(item.unit)
        for unit in self._dead_units.follow(items):
            self._publish(self._edge.death_messages(unit))
        self._prove()
        if connection != self._connection or not self._host.online:
            raise OutputError("the connection was lost, or the primary host")
        self._save_alarms()
        self._report_small_units()

    def _report_small_units(self) -> None:
        """Report once each unit whose metrics have no place in a DBIRTH; count their values."""
        self.ignored = self._edge.left_out
        for unit in sorted(self._edge.small_units - self._reported):
            self._reported.add(unit)
            most = self._edge.most_bytes
            report(f"sparkplug: {unit} has more metrics than {most} bytes; the last are left out")

    def _save_alarms(self) -> None:
        """Store the alarms that the broker has: they are in the birth messages after a restart."""
        while self._unsaved and self.context.store is not None:
            unit = next(iter(self._unsaved))
            text = json.dumps(self._edge.alarms[unit].dump())
            self.context.store.store_state(_KEY_PREFIX + unit, text)
            self._unsaved.discard(unit)

    def _prove(self) -> None:
        """Publish a message with QoS 1 and wait for its acknowledgement."""
        publisher = self.context.publisher
        publisher.publish(f"coldloop/v1/_relay/{self.context.name}/ack", b"", 1, False)
        publisher.flush()

    def close(self) -> None:
        """Publish NDEATH. With MQTT 3.1.1 a client that disconnects sends no will."""
        publisher = self.context.publisher
        if publisher.is_connected() and self._is_born:
            publisher.publish(*self._edge.will_message(), wait_s=_DEATH_WAIT_S)

    def _publish(self, messages: list[SparkplugMessage]) -> None:
        with self._sending:
            if not self._is_born:
                raise OutputError("the connection was lost")
            for message in messages:
                self.context.publisher.publish(*message)


def _answer_text(payload: bytes) -> str:
    """Return the answers in the report of a unit as JSON."""
    try:
        content = parse_note(payload, UnitLimits())
    except DecodeError as error:
        return json.dumps({"relay": f"a report that cannot be read: {error}"[:200]})
    answer = {name: content[name] for name in _OF_AN_ANSWER if name in content}
    text = json.dumps(answer, separators=(",", ":"))
    return text if len(text) <= _MOST_ANSWER_CHARS else '{"relay":"the report is too long"}'
