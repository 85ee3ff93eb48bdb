# SPDX-License-Identifier: Apache-2.0
"""Sparkplug B 3.0 output: each unit is a device of the edge node of the relay.

Does not build the messages; see `edge`. Sends the birth messages after each connection,
after a rebirth command and after the primary host comes online. Takes rows only after that.
"""

import queue
import threading

from deploy.relay.decode.row_format import Item, Rows
from deploy.relay.outputs.base import Output, OutputContext, OutputError
from deploy.relay.sparkplug.edge import SparkplugEdge, SparkplugHost, SparkplugMessage
from deploy.relay.sparkplug.payload import is_rebirth_request

_DEATH_WAIT_S = 2.0


class SparkplugOutput(Output):
    """The edge node in the group of the option's value."""

    def __init__(self, context: OutputContext) -> None:
        super().__init__(context)
        self._edge = SparkplugEdge(
            context.argument, context.name, context.next_bd_seq(), context.clock_ms
        )
        self._host = SparkplugHost(context.primary)
        self._births_due = threading.Event()
        self._offline_units: queue.Queue[str] = queue.Queue()
        self._epoch = 0

    def will(self) -> SparkplugMessage:
        """Return NDEATH."""
        return self._edge.will_message()

    def topics(self) -> list[str]:
        """Return the topics of node commands and of the state of the primary host."""
        return [self._edge.command_topic(), self._host.topic]

    def on_connected(self) -> None:
        """Mark the birth messages as due."""
        self._epoch += 1
        self._births_due.set()

    def on_message(self, topic: str, payload: bytes) -> None:
        """Handle a state of the primary host or a rebirth command."""
        if topic == self._host.topic:
            if self._host.on_state(payload) and self._host.online:
                self._births_due.set()
        elif topic == self._edge.command_topic() and is_rebirth_request(payload):
            self._births_due.set()

    def on_unit_offline(self, unit: str) -> None:
        """Mark the DDEATH of the unit as due."""
        self._offline_units.put(unit)

    def process(self) -> None:
        """Send the birth messages that are due, and the DDEATH of each offline unit."""
        if not self.context.publisher.is_connected():
            return
        if self._births_due.is_set() and self._host.online:
            self._births_due.clear()
            self._publish(self._edge.birth_messages())
        while not self._offline_units.empty():
            self._publish(self._edge.death_messages(self._offline_units.get()))

    def ready(self) -> bool:
        """Return whether the primary host is online and the birth messages are sent."""
        return self._host.online and not self._births_due.is_set()

    def deliver(self, items: list[Item]) -> None:
        """Publish DDATA, after a DBIRTH if the device has none with these names.

        Data have QoS 0, which the broker does not acknowledge. A last message with QoS 1 is the
        proof: a broker handles the messages of a connection in their order.
        """
        epoch = self._epoch
        if self._births_due.is_set() or not self._host.online:
            raise OutputError("waits for the birth messages or the primary host")
        for item in items:
            if isinstance(item, Rows):
                if item.is_dated:
                    self._publish(self._edge.data_messages(item))
            else:
                self._publish(self._edge.alarm_messages(item))
        publisher = self.context.publisher
        publisher.publish(f"coldloop/v1/_relay/{self.context.name}/ack", b"", 1, False)
        publisher.flush()
        if epoch != self._epoch:
            raise OutputError("the connection was lost")

    def close(self) -> None:
        """Publish NDEATH. A client that disconnects cleanly sends no will."""
        publisher = self.context.publisher
        if publisher.is_connected():
            publisher.publish(*self._edge.will_message(), wait_s=_DEATH_WAIT_S)

    def _publish(self, messages: list[SparkplugMessage]) -> None:
        for message in messages:
            self.context.publisher.publish(*message)
