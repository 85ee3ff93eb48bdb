# SPDX-License-Identifier: Apache-2.0
"""Detectors of GNSS interference, with hysteresis. Two active detectors make the time untrusted.

Does not measure; see `agent.gnss.signal_check` and `agent.gnss.constellation_check`.

`DETECTORS` count against the signals, `ADVISORIES` are only reported. A row is (name, alarm code,
unit of the figure, alarm text).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.evidence import EvidenceLog

DETECTORS = (
    ("drop", "gnss_drop", "0.01 dB", "all signals have become weaker: jamming"),
    ("uniform", "gnss_uniform", "%", "all signals are equally strong: spoofing"),
    ("strong", "gnss_strong", "signals", "signals are stronger than a sky's: spoofing"),
    ("constellations", "gnss_constellations", "0.01 dB", "satellite systems contradict each other"),
    ("antenna_open", "gnss_antenna_open", "", "the antenna is not connected"),
    ("antenna_short", "gnss_antenna_short", "", "the antenna or its cable is short-circuited"),
    ("jamming", "gnss_jamming", "", "the receiver itself reports jamming"),
)
ADVISORIES = (
    ("silent", "gnss_silent", "s", "the receiver says nothing"),
    ("no_fix", "gnss_no_fix", "s", "the receiver has no fix"),
    ("line_saturated", "gnss_line_saturated", "permille", "the receiver's line is too slow"),
    ("desense", "gnss_desense", "0.01 dB", "transmitting weakens the signals"),
    ("bound", "time_bound", "us", "UTC is not as well known as it must be"),
    ("setup", "gnss_setup", "", "the receiver does not do what it is told"),
    ("store", "time_store", "", "what was kept of the time cannot be read"),
)

RAISE_COUNT, CLEAR_COUNT = 2, 30


class DetectorSet:
    """Active detectors by name.

    A detector becomes active after `raise_count` consecutive reports and inactive after
    `clear_count` consecutive reports without a fault. So an intermittent fault does not toggle its
    alarm.
    """

    def __init__(
        self,
        evidence_log: "EvidenceLog",
        raise_count: int = RAISE_COUNT,
        clear_count: int = CLEAR_COUNT,
    ) -> None:
        self.active: list[str] = []
        self._evidence_log = evidence_log
        self._raise_count = raise_count
        self._clear_count = clear_count
        self._streaks: dict[str, int] = {}

    def report(self, name: str, present: bool, now: int, figure: int, limit: int) -> None:
        """Report if `name` is present now. `figure` and its `limit` are stored as evidence."""
        streak = self._streaks.get(name, 0)
        active = name in self.active
        if present == active:
            if streak:
                self._streaks[name] = 0
            if active:
                self._evidence_log.add(name, now, figure, limit)
            return
        streak += 1
        if present and streak >= self._raise_count:
            self.active.append(name)
            self._evidence_log.add(name, now, figure, limit)
            streak = 0
        elif active and streak >= self._clear_count:
            self.active.remove(name)
            streak = 0
        self._streaks[name] = streak

    def integrity_failed(self) -> bool:
        """Return whether two or more detectors are active."""
        return len(self.active) >= 2
