# SPDX-License-Identifier: Apache-2.0
"""Do the pumps give the flow of their speed? The affinity laws, over minutes.

Does not react, and does not find a loss of flow; see `agent.safety.flow_watch`. Flow over speed and
pressure over its square belong to the pumps and the row. Both fall together if coolant flows back
through the check valve of a pump at rest, if an impeller is worn, if there is air, or before a
clogged filter. If the flow falls and the pressure rises, a part of the row is shut. One of them
alone: a false sensor (`agent.safety.row_resistance`).

The usual values are slow means, one pair for each number of running pumps. Less than `_WEAK` of the
usual flow, for `_COUNT` readings, is reported. A restart keeps the usual values (`words`,
`restore`): a branch that is shut soon after it must show.
"""

from agent.core.alarm_record import NORMAL, AlarmRecord
from agent.safety.row_resistance import has_moved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.safety.drive_watch import DriveWatch

IMPELLER = AlarmRecord("impeller", NORMAL, "the pumps give less flow than usual", "", True)

_WEAK, _STRONG = 87 / 100, 92 / 100
_WEAK_KPA = 8 / 10
_SHUT, _SHUT_KPA, _SHUT_OFF_KPA = 92 / 100, 108 / 100, 16 / 10
"""Flow and pressure with a shut branch, of the usual ones. No pump gives more than `_SHUT_OFF_KPA`:
a higher pressure is a false one. One branch of four: 0.85 and 1.20, of six: 0.90 and 1.12."""
_COUNT = 40
_SHUT_COUNT = 30
_LEARN_COUNT, _MEAN_COUNT = 60, 3600
_RUNS_PCT, _SAME_PCT = 10.0, 3.0
_MILLION, _DIGITS = 1_000_000, 10


class PumpCurve:
    """`is_weak`: the pumps give less than usual."""

    def __init__(self) -> None:
        self.is_weak = False
        self._usual: dict[int, list[float]] = {}
        self._count = 0
        self._kept: dict[int, list[float]] = {}

    def add(self, flow: "float | None", kpa: "float | None", drives: "list[DriveWatch]") -> None:
        """Add a new reading: L/min, kPa."""
        running = _running(drives)
        if flow is None or kpa is None or flow < 1.0 or kpa < 1.0 or running is None:
            return
        count, speed = running
        if not speed:
            self._count = 0
            return
        ratio, kpa_ratio = flow / speed, kpa / (speed * speed)
        usual = self._usual.get(count)
        if usual is None:
            self._usual[count] = [ratio, kpa_ratio, 1.0]
            return
        limit = _STRONG if self.is_weak else _WEAK
        is_less = ratio < limit * usual[0]
        if is_less and (self.is_weak or kpa_ratio < _WEAK_KPA * usual[1]):
            self._count += 1
            self.is_weak = self.is_weak or (self._count >= _COUNT and usual[2] >= _LEARN_COUNT)
            return
        self._count, self.is_weak = 0, False
        if not is_less:
            usual[2] = min(usual[2] + 1.0, _MEAN_COUNT)
            usual[0] += (ratio - usual[0]) / usual[2]
            usual[1] += (kpa_ratio - usual[1]) / usual[2]
            kept = self._kept.get(count, [0.0, 0.0])
            is_worth = has_moved(usual[0], kept[0]) or has_moved(usual[1], kept[1])
            if usual[2] >= _LEARN_COUNT and is_worth:
                self._kept[count] = usual[:2]

    def is_throttled(
        self, flow: "float | None", kpa: "float | None", drives: "list[DriveWatch]"
    ) -> bool:
        """Return whether the flow is less, and the pressure more, than usual at this speed.

        No single false sensor looks like this. False also if the usual values are not known.
        """
        expected = self._expected(drives)
        if flow is None or kpa is None or expected is None:
            return False
        usual_lpm, usual_kpa = expected
        return flow < _SHUT * usual_lpm and _SHUT_KPA < kpa / usual_kpa < _SHUT_OFF_KPA

    def is_false_pressure(self, kpa: "float | None", drives: "list[DriveWatch]") -> bool:
        """Return whether the pressure is more than any pump gives at this speed."""
        expected = self._expected(drives)
        return kpa is not None and expected is not None and kpa >= _SHUT_OFF_KPA * expected[1]

    def _expected(self, drives: "list[DriveWatch]") -> "tuple[float, float] | None":
        """Return the usual (flow, pressure) at this speed, in L/min and kPa; None: unknown."""
        running = _running(drives)
        if running is None or not running[1]:
            return None
        count, speed = running
        usual = self._usual.get(count)
        if usual is None or usual[2] < _SHUT_COUNT:
            return None
        return usual[0] * speed, usual[1] * speed * speed

    def words(self) -> "list[str]":
        """Return a line for each number of running pumps: it, usual flow and pressure over speed
        and squared speed, in 1/1000000.
        """
        return [
            "%d %d %d" % (count, int(kept[0] * _MILLION), int(kept[1] * _MILLION))
            for count, kept in sorted(self._kept.items())
        ]

    def restore(self, words: "list[str]") -> bool:
        """Continue with the words of a line of `words`."""
        if len(words) != 3 or False in [w.isdigit() and len(w) <= _DIGITS for w in words]:
            return False
        count, ratio, kpa_ratio = int(words[0]), int(words[1]) / _MILLION, int(words[2]) / _MILLION
        if not (count and ratio and kpa_ratio):
            return False
        self._kept[count] = [ratio, kpa_ratio]
        self._usual[count] = [ratio, kpa_ratio, float(_LEARN_COUNT)]
        return True


def _running(drives: "list[DriveWatch]") -> "tuple[int, float] | None":
    """Return (number, speed) of the running pumps; None: one is not read. Speed 0: none runs, or
    they have different speeds.
    """
    speeds = [drive.speed_pct for drive in drives if drive.speed_pct is not None]
    if len(speeds) < len(drives):
        return None
    running = [speed for speed in speeds if speed > _RUNS_PCT]
    if not running or max(running) - min(running) > _SAME_PCT:
        return 0, 0.0
    return len(running), max(running)
