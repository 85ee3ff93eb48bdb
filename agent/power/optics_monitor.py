# SPDX-License-Identifier: Apache-2.0
"""Monitor of optical modules: a warm module is reported, a hot one can switch off its load.

Does not limit modules, because their power cannot be limited. Does not switch off ports, which
would cut the network.

The reading is the case temperature of the module (CMIS lower page byte 14, as a switch reports it).
It must be too high for `_HOT_US` before a load is switched off. It must fall by `_HYSTERESIS_MILLI`
before the alarm clears.
"""

from agent.core.alarm_record import NORMAL, AlarmRecord
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.alarm_list import AlarmList
    from agent.power.load import Load
    from agent.power.scaled_sensor import ScaledSensor

OPTICS_WARM = AlarmRecord("optics_warm", NORMAL, "module is warm", "module", True)
OPTICS_HOT = AlarmRecord("optics_hot", NORMAL, "module is too hot", "module", True)
_HOT_US = 10 * SECOND
_HYSTERESIS_MILLI = 2000


class OpticsMonitor:
    """A module. `load` is switched off to protect it, or None."""

    def __init__(
        self,
        name: str,
        reading: "ScaledSensor",
        warm_milli: int,
        hot_milli: int,
        load: "Load | None",
    ) -> None:
        self.name = name
        self.load = load
        self._reading = reading
        self._warm_milli = warm_milli
        self._hot_milli = hot_milli
        self._warm = False
        self._hot_since: int | None = None

    def update(self, alarms: "AlarmList", now: int) -> bool:
        """Update its alarms. Return True while it has been too hot for long enough."""
        milli = self._reading.milli(now)
        if milli is None:
            self._hot_since = None
            return False
        threshold_milli = self._warm_milli - (_HYSTERESIS_MILLI if self._warm else 0)
        self._warm = milli >= threshold_milli
        if milli < self._hot_milli:
            self._hot_since = None
        elif self._hot_since is None:
            self._hot_since = now
        hot = self._hot_since is not None and now - self._hot_since >= _HOT_US
        alarms.update(OPTICS_WARM, self.name, self._warm and not hot, now)
        alarms.update(OPTICS_HOT, self.name, hot, now)
        return hot
