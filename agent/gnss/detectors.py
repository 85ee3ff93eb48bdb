"""Votes against the sky, each with hysteresis; two at a time make its time suspect.

What votes, and what is only told, stands in two tables; each row is (name, code of the alarm, unit
of the figure, what it means).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.evidence import Verdicts

VOTES = (
    ("drop", "gnss_drop", "0.01 dB", "all signals have become weaker: jamming"),
    ("uniform", "gnss_uniform", "%", "all signals are equally strong: spoofing"),
    ("strong", "gnss_strong", "signals", "signals are stronger than a sky's: spoofing"),
    ("constellations", "gnss_constellations", "0.01 dB", "satellite systems contradict each other"),
    ("antenna_open", "gnss_antenna_open", "", "the antenna is not connected"),
    ("antenna_short", "gnss_antenna_short", "", "the antenna or its cable is short-circuited"),
    ("jamming", "gnss_jamming", "", "the receiver itself reports jamming"),
)
NOTICES = (
    ("silent", "gnss_silent", "s", "the receiver says nothing"),
    ("no_fix", "gnss_no_fix", "s", "the receiver has no fix"),
    ("line_saturated", "gnss_line_saturated", "permille", "the receiver's line is too slow"),
    ("desense", "gnss_desense", "0.01 dB", "transmitting weakens the signals"),
    ("bound", "time_bound", "us", "UTC is not as well known as it must be"),
    ("setup", "gnss_setup", "", "the receiver does not do what it is told"),
    ("store", "time_store", "", "what was kept of the time cannot be read"),
)

UP, DOWN = 2, 30


class Votes:
    """Votes by name.

    A vote is raised when it was present `up` times in a row, and taken back when it was absent
    `down` times in a row; so a sky that flickers does not make the alarm flicker.
    """

    def __init__(self, verdicts: "Verdicts", up: int = UP, down: int = DOWN) -> None:
        self.raised: list[str] = []
        self._verdicts = verdicts
        self._up = up
        self._down = down
        self._rows: dict[str, int] = {}

    def vote(self, name: str, present: bool, now: int, figure: int, limit: int) -> None:
        """Say whether `name` is present now; `figure` and its `limit` are kept as evidence."""
        row = self._rows.get(name, 0)
        raised = name in self.raised
        if present == raised:
            if row:
                self._rows[name] = 0
            if raised:
                self._verdicts.add(name, now, figure, limit)
            return
        row += 1
        if present and row >= self._up:
            self.raised.append(name)
            self._verdicts.add(name, now, figure, limit)
            row = 0
        elif raised and row >= self._down:
            self.raised.remove(name)
            row = 0
        self._rows[name] = row

    def suspect(self) -> bool:
        """Whether two or more votes are raised."""
        return len(self.raised) >= 2
