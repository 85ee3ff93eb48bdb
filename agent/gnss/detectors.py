# SPDX-License-Identifier: Apache-2.0
"""Detectors of GNSS interference, with hysteresis. Two active detectors make the time untrusted.

Does not measure; see `agent.gnss.signal_check` and `agent.gnss.constellation_check`.

`DETECTORS` count against the signals, `ADVISORIES` are only reported. A row is (name, alarm).
`agent.tools.clock.clock_text` has the units of their figures.
"""

from agent.core.alarm_record import NORMAL, AlarmRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.evidence import EvidenceLog
    from drivers.gnss.epoch import Epoch

# fmt: off
DETECTORS = (
    ("drop", AlarmRecord(
        "gnss_drop", NORMAL, "all signals have become weaker: jamming", "", False)),
    ("uniform", AlarmRecord(
        "gnss_uniform", NORMAL, "all signals are equally strong: spoofing", "", False)),
    ("strong", AlarmRecord(
        "gnss_strong", NORMAL, "signals are stronger than a sky's: spoofing", "", False)),
    ("constellations", AlarmRecord(
        "gnss_constellations", NORMAL, "satellite systems contradict each other", "", True)),
    ("antenna_open", AlarmRecord(
        "gnss_antenna_open", NORMAL, "the antenna is not connected", "", False)),
    ("antenna_short", AlarmRecord(
        "gnss_antenna_short", NORMAL, "the antenna or its cable is short-circuited", "", False)),
    ("jamming", AlarmRecord(
        "gnss_jamming", NORMAL, "the receiver itself reports jamming", "", False)),
    ("gain", AlarmRecord(
        "gnss_gain", NORMAL, "the receiver's gain fell: strong signals in its band", "", False)),
    ("spoofing", AlarmRecord(
        "gnss_spoofing", NORMAL, "the receiver itself reports spoofing", "", False)),
)
ADVISORIES = (
    ("silent", AlarmRecord("gnss_silent", NORMAL, "the receiver says nothing", "", True)),
    ("no_fix", AlarmRecord("gnss_no_fix", NORMAL, "the receiver has no fix", "", True)),
    ("line_saturated", AlarmRecord(
        "gnss_line_saturated", NORMAL, "the receiver's line is too slow", "", True)),
    ("desense", AlarmRecord("gnss_desense", NORMAL, "transmitting weakens the signals", "", False)),
    ("bound", AlarmRecord(
        "time_bound", NORMAL, "UTC is not as well known as it must be", "", False)),
)
# fmt: on

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

    def report_receiver(self, epoch: "Epoch", now: int) -> None:
        """Report what the receiver itself states: antenna, jamming, spoofing."""
        report = self.report
        report("antenna_open", epoch.antenna == "open", now, 1, 0)
        report("antenna_short", epoch.antenna == "short", now, 1, 0)
        report("jamming", epoch.jamming in ("warning", "critical"), now, 1, 0)
        is_spoofed = epoch.spoofing in ("warning", "critical") or epoch.authenticated is False
        report("spoofing", is_spoofed, now, 1, 0)

    def integrity_failed(self) -> bool:
        """Return whether two or more detectors are active."""
        return len(self.active) >= 2
