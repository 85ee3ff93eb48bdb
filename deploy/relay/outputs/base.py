# SPDX-License-Identifier: Apache-2.0
"""Output: the interface of one output of the relay.

Does not list the outputs; see `registry`. A new output is a subclass of `Output` and one row in
`registry.OUTPUTS`. An output has a thread of its own (`deploy.relay.delivery`), so a slow or dead
one stops no other. `on_connected` and `on_message` run in the thread of the MQTT client,
`on_unit_offline` in that of the units' client, `pages` in that of the HTTP server.

The contract of `deliver`: it returns after the receiver has acknowledged ALL items durably. If the
receiver acknowledges before its disk has them, `settling` tells when they are durable. The relay
delivers more in that time, and moves its position after it. `deliver` raises OutputError if the
receiver cannot take the items now: the relay repeats the same items later. With AnsweredError it
looks for one that is the cause after some repetitions. It raises any other exception if an item is
refused: the relay then delivers them one by one, and puts a refused item into the quarantine. After
a kill the same items can come again, so a receiver must recognise them by unit, generation and
number, or by unit and time.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from deploy.errors import DeployError
from deploy.relay.decode.row_format import Item, Note, Rows
from deploy.relay.outputs.tls.server_tls import OutputTlsFiles
from deploy.secret_file import SecretFile

Page = Callable[[str], tuple[str, str]]
"""Returns the content type and the text of a page of the HTTP server, for the query of its URL."""


_LEVEL = re.compile(r"[^\s/+#\x00-\x1f\ud800-\udfff]{1,64}")


def is_level(text: str) -> bool:
    """Return whether a text can be a level of a topic."""
    return _LEVEL.fullmatch(text) is not None


def check_topic(option: str, text: str) -> None:
    """Raise DeployError if a text is no topic that messages can be published below."""
    if text.startswith("$") or not all(map(is_level, text.split("/"))):
        raise DeployError(
            f"--{option} {text}: no topic; levels of 1 to 64 characters, no + # space"
        )


class OutputError(Exception):
    """The receiver cannot take items now; the text is one line that gives the reason."""


class AnsweredError(OutputError):
    """The same, and the receiver is there: one item can be the cause; see `delivery`."""


class Settling(NamedTuple):
    """A batch that its receiver has, and perhaps not yet on its disk.

    `due`: monotonic time in s at which it is there. `is_kept` tells then whether the receiver has
    kept it: if not, the batch comes again. It raises OutputError if the receiver does not answer.
    """

    due: float
    is_kept: Callable[[], bool]


class StateStore(Protocol):
    """Durable texts of an output."""

    def load_state(self, prefix: str) -> dict[str, str]:
        """Return the stored texts whose keys begin with `prefix`."""

    def store_state(self, key: str, text: str) -> None:
        """Store a text."""

    def remove_state(self, key: str) -> None:
        """Remove a text, in a transaction of the caller."""


class Publisher(Protocol):
    """The connection of the outputs to the broker."""

    def is_connected(self) -> bool:
        """Return whether the broker has accepted the connection."""

    def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, wait_s: float = 0.0
    ) -> None:
        """Publish a message; wait up to `wait_s` seconds until the broker has it."""

    def flush(self, needs_subscriber: bool = False) -> None:
        """Wait until the broker has acknowledged what this thread has published with QoS 1.

        `needs_subscriber`: with MQTT 5, a message without one is not delivered. Raises OutputError
        then, if the relay ends before that, or if QoS 0 messages can be lost.
        """

    def most_bytes(self) -> int:
        """Return the largest packet that the broker says it takes."""

    def leave(self) -> None:
        """End the connection, with the will if the protocol has that; then connect again."""


@dataclass(frozen=True, slots=True)
class OutputContext:
    """The services of the relay for its outputs.

    `argument` is the value of the option of this output. `name` is the name of the relay, `primary`
    the Sparkplug host application to wait for ("": none). `next_bd_seq` returns the bdSeq of the
    next connection, `clock_ms` UTC in ms, `counts` the counters of the relay. `store` has durable
    texts; `shelved` is the file of shelved alarms. `token`, `tls`: for the HTTP receiver of the
    output. `is_check`: only `check` is called. `is_required`: receipts wait for this output.
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
    token: SecretFile | None = None
    tls: OutputTlsFiles | None = None
    is_check: bool = False
    is_required: bool = False


class Output:
    """One output. `BATCH`: records in one call of `deliver`. `LINGER_S`: wait for a full batch.

    `USES_BROKER`: it publishes, so the relay has a second connection to the broker. `TAKES_TIMES`:
    it takes a note again that had no time, and stores only its time. `ignored`: rows that the
    receiver says it has acknowledged and not kept. `problem`: why the receiver does not take what
    the output has stored itself; it takes further items.
    """

    BATCH = 200
    LINGER_S = 0.0
    USES_BROKER = False
    TAKES_TIMES = False
    ignored = 0
    problem = ""

    def __init__(self, context: OutputContext) -> None:
        self.context = context

    def will(self) -> tuple[str, bytes, int, bool] | None:
        """Return the will of the next connection to the broker: topic, payload, QoS, retain.

        Called before each CONNECT, in the thread of the client; it raises nothing.
        """
        return None

    def topics(self) -> list[str]:
        """Return the topics that this output subscribes to."""
        return []

    def pages(self) -> dict[str, Page]:
        """Return the pages of the HTTP server that this output writes, by path."""
        return {}

    def on_connecting(self) -> None:
        """Handle the begin of a connection, before a message can be published on it."""

    def on_connected(self) -> None:
        """Handle a new connection to the broker."""

    def on_message(self, topic: str, payload: bytes) -> None:
        """Handle a message of a topic of any output."""

    def on_unit_state(self, unit: str, payload: bytes) -> None:
        """Handle a message of the topic `state` of a unit."""

    def on_unit_report(self, unit: str, payload: bytes) -> None:
        """Handle a message of the topic `cfg/reported` of a unit."""

    def on_unit_offline(self, unit: str) -> None:
        """Handle the end of the connection of a unit."""

    def process(self) -> None:
        """Send due messages other than items. Called several times a second."""

    def check(self) -> None:
        """Try whether the receiver would take items; store none. For `coldloop relay --check`.

        Raises OutputError or RefusedError.
        """

    def refuses_all(self) -> bool:
        """Return whether the receiver refuses everything, after a refusal: no item is at fault."""
        return False

    def ready(self) -> bool:
        """Return whether the output can take items now."""
        return True

    def deliver(self, items: list[Item]) -> None:
        """Deliver items in their order; see the contract above."""
        for item in items:
            if isinstance(item, Rows):
                self.rows(item)
            else:
                self.note(item)
        self.flush()

    def settling(self) -> Settling | None:
        """Return what the batch of the last `deliver` waits for; None: it is durable."""
        return None

    def acknowledged(self) -> None:
        """Follow that what was delivered comes no more, in the transaction of the position."""

    def rows(self, block: Rows) -> None:
        """Write a block of rows."""

    def note(self, note: Note) -> None:
        """Write an alarm or an event."""

    def flush(self) -> None:
        """Wait until the receiver has what `rows` and `note` have written."""

    def close(self) -> None:
        """Send the last messages. The connection to the broker is still open."""
