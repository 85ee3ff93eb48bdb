"""What the shell says about its ports: one line for each change of state, and no flood.

A port that is retried every second for a night says once why it fails, and again every ten minutes.
A port that flaps says so ten times, then once every ten seconds with the count of what was left
out. Not a log of the plant: the agent's alarms and events leave through its own ports.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

REPEAT = 600 * SECOND  # a line that stays true is said again after this
BURST = 10  # different lines of one port in a row
REFILL = 10 * SECOND  # then one line in this time


class PortLog:
    """The lines of one port; `report` is called at each change and decides what is printed."""

    def __init__(self, number: int, out: "Callable[[str], None]") -> None:
        """Print by `out(line)`, without a line end."""
        self._name = "port %d" % number
        self._out = out
        self._last = ""
        self._printed_at = 0
        self._repeats = 0
        self._suppressed = 0
        self._tokens = BURST
        self._filled_at = 0

    def report(self, text: str, now: int) -> None:
        """Report `text`, unless that is what was said last or the port has said too much."""
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
        """Return what was not printed since the last line."""
        counts = ""
        if self._repeats and text == self._last:
            counts = " (%d times more)" % (self._repeats + 1)
        if self._suppressed:
            counts += " (%d lines left out)" % self._suppressed
        return counts

    def _refill(self, now: int) -> None:
        """Allow one more line for each REFILL that went by."""
        gained = (now - self._filled_at) // REFILL
        if gained:
            self._tokens = min(BURST, self._tokens + gained)
            self._filled_at = now
