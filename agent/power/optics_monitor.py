"""Optical modules: too warm is said, too hot is shed if the site wants that, nothing else.

A module's power cannot be limited; ports are not switched off, since that would cut the network.
What is read is the module's case temperature (CMIS lower page byte 14, as a switch passes it on). A
reading must be too hot for `_HOT_US` before anything is shed, and cool down by `_HYSTERESIS_MILLI`
before the alarm goes.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.alarm_list import AlarmList
    from agent.power.load import Load
    from agent.power.scaled_sensor import ScaledSensor

_HOT_US = 10 * SECOND
_HYSTERESIS_MILLI = 2000


class OpticsMonitor:
    """One module. `load` is what is switched off for its sake, or None."""

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
        """Raise or clear its alarms; true while it has been too hot for long enough."""
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
        alarms.update("optics_warm:" + self.name, self._warm and not hot, "module is warm", now)
        alarms.update("optics_hot:" + self.name, hot, "module is too hot", now)
        return hot
