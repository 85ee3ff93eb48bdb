# SPDX-License-Identifier: Apache-2.0
"""State of one port in the I/O loop, and the log of its changes with a limited rate.

Does not move data; see `agent.runtime.io_loop`. Does not log the plant: alarms and events leave
through the ports of the agent.

A port that fails repeatedly logs its reason once, and again every ten minutes. A port that changes
its state often logs ten lines, then one line every ten seconds with the number of suppressed lines.
"""

from drivers.errors import AddressError
from drivers.ports.address import parse_address
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.ports.address import Address
    from drivers.ports.base import Port

REPEAT = 600 * SECOND  # an unchanged line is repeated after this time
BURST = 10  # lines in a burst of one port
REFILL = 10 * SECOND  # then one line in this time


class PortLog:
    """The lines of one port. Call `report` for each change; it limits the rate."""

    def __init__(self, number: int, out: "Callable[[str], None]") -> None:
        """`out(line)` prints a line without a line end."""
        self._name = "port %d" % number
        self._out = out
        self._last = ""
        self._printed_at = 0
        self._repeats = 0
        self._suppressed = 0
        self._tokens = BURST
        self._filled_at = 0

    def report(self, text: str, now: int) -> None:
        """Print `text`, unless it repeats the last line or the port exceeds its rate."""
        if text == self._last and now - self._printed_at < REPEAT:
            self._repeats += 1
            return
        self._refill(now)
        if not self._tokens:
            self._suppressed += 1
            return
        self._tokens -= 1
        self._out("%s: %s%s" % (self._name, text, self._counts(text)))
        self._last = text
        self._printed_at = now
        self._repeats = 0
        self._suppressed = 0

    def _counts(self, text: str) -> str:
        """Return the counts of lines that were not printed."""
        counts = ""
        if self._repeats and text == self._last:
            counts = " (%d times more)" % (self._repeats + 1)
        if self._suppressed:
            counts += " (%d lines left out)" % self._suppressed
        return counts

    def _refill(self, now: int) -> None:
        """Allow one more line for each REFILL that passed."""
        gained = (now - self._filled_at) // REFILL
        if gained:
            self._tokens = min(BURST, self._tokens + gained)
            self._filled_at = now


class PortSlot:
    """A port number: its port, its waiting data, and events for the agent.

    `requested`: the address that the next free step opens. `not_after`: then the waiting data is
    dropped. `backlog`: the waiting data as the agent gave it, never joined: a board has little
    memory in one piece.
    """

    def __init__(self, number: int, out: "Callable[[str], None]") -> None:
        """Start closed."""
        self.number = number
        self.address = ""
        self.log = PortLog(number, out)
        self.port: Port | None = None
        self.opening = False
        self.requested = b""
        self._text = b""
        self._parsed: Address | None = None
        self.open_deadline = NEVER
        self.backlog: list[bytes] = []
        self._written = 0  # bytes of the first one
        self.not_after = NEVER
        self.drain_event_due = False
        self.read_again = False
        self.is_pps = False
        self.events: list[str] = []
        self.watched: tuple[object, bool] | None = None

    def is_open(self) -> bool:
        """Return whether data can be sent and received."""
        return self.port is not None and not self.opening

    def queue(self, data: bytes, written: int, limit: int) -> bool:
        """Add data, of which `written` bytes have left. False: more than `limit` bytes wait."""
        if not self.backlog:
            self._written = written
        self.backlog.append(data)
        return sum([len(each) for each in self.backlog]) - self._written <= limit

    def next_piece(self, size: int) -> bytes:
        """Return the first waiting bytes, at most `size`."""
        return self.backlog[0][self._written : self._written + size]

    def remove_written(self, count: int) -> None:
        """Remove the bytes of `next_piece` that the port has taken."""
        self._written += count
        if self._written == len(self.backlog[0]):
            self.backlog.pop(0)
            self._written = 0

    def take_request(self) -> "Address":
        """Take the requested address. Raises AddressError.

        A port that opens again has its old text, and a board has dropped the parser by then.
        """
        text, self.requested = self.requested, b""
        if self._parsed is None or text != self._text:
            self._text, self._parsed = text, parse_address(read_text(text))
        self.address = str(self._parsed)
        return self._parsed


def read_text(data: bytes) -> str:
    """Return the text of an "open" or "set". Raises AddressError."""
    try:
        return str(data, "utf-8")
    except ValueError:  # UnicodeError is a ValueError on both interpreters
        raise AddressError("an address is not UTF-8")
