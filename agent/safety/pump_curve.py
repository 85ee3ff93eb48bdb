# SPDX-License-Identifier: Apache-2.0
"""Do the pumps give the flow of their speed? The affinity laws, over minutes.

Does not react, and does not find a loss of flow; see `agent.safety.flow_watch`. Flow over speed and
pressure over its square belong to the pumps and the row. Both fall together if coolant flows back
through the check valve of a pump at rest, if an impeller is worn, if there is air, or before a
clogged filter. One of them alone: a false sensor or a shut branch (`agent.safety.row_resistance`).

The usual values are slow means, one pair for each number of running pumps. Less than `_WEAK` of the
usual flow, for `_COUNT` readings, is reported.
"""

from agent.core.alarm_record import NORMAL, AlarmRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.safety.drive_watch import DriveWatch

IMPELLER = AlarmRecord("impeller", NORMAL, "the pumps give less flow than usual", "", True)

_WEAK, _STRONG = 87 / 100, 92 / 100
_WEAK_KPA = 8 / 10
_COUNT = 40
_LEARN_COUNT, _MEAN_COUNT = 60, 3600
_RUNS_PCT, _SAME_PCT = 10.0, 3.0


class PumpCurve:
    """`is_weak`: the pumps give less than usual."""

    def __init__(self) -> None:
        self.is_weak = False
        self._usual: dict[int, list[float]] = {}
        self._count = 0

    def add(self, flow: "float | None", kpa: "float | None", drives: "list[DriveWatch]") -> None:
        """Add a new reading: L/min, kPa."""
        speeds = [drive.speed_pct for drive in drives if drive.speed_pct is not None]
        running = [speed for speed in speeds if speed > _RUNS_PCT]
        if flow is None or kpa is None or flow < 1.0 or kpa < 1.0 or len(speeds) < len(drives):
            return
        if not running or max(running) - min(running) > _SAME_PCT:
            self._count = 0
            return
        speed = max(running)
        ratio, kpa_ratio = flow / speed, kpa / (speed * speed)
        usual = self._usual.get(len(running))
        if usual is None:
            self._usual[len(running)] = [ratio, kpa_ratio, 1.0]
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
