# SPDX-License-Identifier: Apache-2.0
"""Sparkplug B 3.0 output: each unit is a device of the edge node of the relay.

Does not build the messages; see `sparkplug.edge`. Sends the birth messages after each connection,
after a rebirth command and after the primary host comes online. Takes rows only after that.
"""

import queue
import threading

from deploy.relay.output import Output, OutputContext
from deploy.relay.row_format import Rows
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

    def will(self) -> SparkplugMessage:
        """Return NDEATH."""
        return self._edge.will_message()

    def topics(self) -> list[str]:
        """Return the topics of node commands and of the state of the primary host."""
        return [self._edge.command_topic(), self._host.topic]

    def on_connected(self) -> None:
        """Mark the birth messages as due."""
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

    def rows(self, block: Rows) -> None:
        """Publish DDATA, after a DBIRTH if the device has none with these names."""
        self._publish(self._edge.data_messages(block))

    def close(self) -> None:
        """Publish NDEATH. A client that disconnects cleanly sends no will."""
        publisher = self.context.publisher
        if publisher.is_connected():
            publisher.publish(*self._edge.will_message(), wait_s=_DEATH_WAIT_S)

    def _publish(self, messages: list[SparkplugMessage]) -> None:
        for message in messages:
            self.context.publisher.publish(*message)
