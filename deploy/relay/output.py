# SPDX-License-Identifier: Apache-2.0
"""Output: the interface of one output format of the relay.

Does not list the formats; see `outputs`. A new format is a subclass of `Output` and one row in
`outputs.OUTPUTS`. The methods of the base class do nothing, so a subclass writes only those that it
needs. `on_connected` and `on_message` run in the thread of the MQTT client; `on_unit_offline` runs
there too. All other methods run in the thread of the relay.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deploy.relay.row_format import Rows

Page = Callable[[], tuple[str, str]]
"""Returns the content type and the text of a page of the HTTP server."""


class StateStore(Protocol):
    """Durable texts of an output."""

    def load_state(self, prefix: str) -> dict[str, str]:
        """Return the stored texts whose keys begin with `prefix`."""

    def store_state(self, key: str, text: str) -> None:
        """Store a text."""


class Publisher(Protocol):
    """The connection of the outputs to the broker."""

    def is_connected(self) -> bool:
        """Return whether the broker has accepted the connection."""

    def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, wait_s: float = 0.0
    ) -> None:
        """Publish a message; wait up to `wait_s` seconds until the broker has it."""


@dataclass(frozen=True, slots=True)
class OutputContext:
    """The services of the relay for its outputs.

    `argument` is the value of the option of this output. `name` is the name of the relay, `primary`
    the Sparkplug host application to wait for ("": none). `next_bd_seq` returns the bdSeq of the
    next connection, `clock_ms` UTC in ms, `counts` the counters of the relay. `store` has durable
    texts; `shelved` is the file of shelved alarms.
    """

    argument: str
    name: str
    primary: str
    publisher: Publisher
    next_bd_seq: Callable[[], int]
    clock_ms: Callable[[], int]
    counts: Callable[[], dict[str, int]]
    store: StateStore | None = None
    shelved: Path | None = None


class Output:
    """One output format."""

    def __init__(self, context: OutputContext) -> None:
        self.context = context

    def will(self) -> tuple[str, bytes, int, bool] | None:
        """Return the will of the connection to the broker: topic, payload, QoS, retain."""
        return None

    def topics(self) -> list[str]:
        """Return the topics that this output subscribes to."""
        return []

    def pages(self) -> dict[str, Page]:
        """Return the pages of the HTTP server that this output writes, by path."""
        return {}

    def on_connected(self) -> None:
        """Handle a new connection to the broker."""

    def on_message(self, topic: str, payload: bytes) -> None:
        """Handle a message of a topic of any output."""

    def on_unit_offline(self, unit: str) -> None:
        """Handle the end of the connection of a unit."""

    def process(self) -> None:
        """Send due messages other than rows and notes. The relay calls this in each pass."""

    def ready(self) -> bool:
        """Return whether the output can take rows and notes now."""
        return True

    def rows(self, block: Rows) -> None:
        """Write a block of rows."""

    def note(self, unit: str, number: int, payload: bytes) -> None:
        """Write an alarm or an event: a JSON object, record `number` of the unit."""

    def close(self) -> None:
        """Send the last messages. The connection to the broker is still open."""
