# SPDX-License-Identifier: Apache-2.0
"""Does coolant flow? The indications of independent readings are counted.

Does not react; see `agent.safety.protection`. Uses no model and no validated sensor. The expected
values are the means of the last half minute, while nothing was wrong, by the affinity laws: flow
is proportional to the pump speed, and pressure to its square.

    reading         indicates "no flow" if
    flow            below half of the expected flow, or below 15 % of the usual one
    pressure        below a quarter of the expected pressure, or far above it (a shut valve). A flow
                    that is larger in the same proportion explains it: a filter was changed
    drives          all are blocked, have tripped, or are silent while the unit answers: two
    temperature     a device is hotter than its loads can explain (only if it is measured)

Two indications are needed. One is enough if nothing else can be read. Drives that turn do not
disprove hot devices: a valve can be shut. A loss that only the devices show, without a reading of
flow and pressure, ends with the next of these readings: a load that is off is not hot any more. A
loss that a reading has shown does not end because the readings are lost, for at most `_PROVEN_US`.
A reading alone against two others is false (`outlier`).

Hot devices that confirm a low flow, or a low pressure, have shown which of both is true. The loads
go off, the devices cool, and this indication is gone. Its result stays valid: the low reading
counts alone, until it is not low any more, or for `_PROVEN_US`.

The means do not follow readings that do not fit each other (`agent.safety.row_resistance`): a false
sensor must not become the usual state. They begin with readings that were steady for `_STEADY_US`:
the flow can end, or begin, while the unit restarts.
"""

from agent.control.law.deterministic_math import sqrt_det
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.safety.drive_watch import DriveWatch

_MEAN_S = 30.0
_LOW_FLOW, _LOW_DP, _HIGH_DP = 0.5, 0.25, 1.5
_GONE_FLOW, _GONE_DP = 0.25, 0.0625
_LEAST_FLOW, _LEAST_DP = 0.15, 0.03
_START_LEAST = 1.0
_DP_BAND_KPA = 5.0
_FITS_LOW, _FITS_HIGH = 3 / 4, 5 / 4
_SAME_FLOW = 85 / 100
"""Part of the flow that belongs to a high pressure (flow ~ root of the pressure)."""
_SIGN_US = 3 * SECOND
"""Time for which silent drives alone count. After it, flow or pressure must confirm the loss."""
_OUTLIER_US = 1 * SECOND
_PROVEN_US = 600 * SECOND
_STEADY_US, _STEADY = 2 * SECOND, 9 / 10
_NEW_LEVEL_US = 20 * SECOND
"""A flow that stays low, but not gone, is then the usual one. The cap by the flow protects."""


class FlowWatch:
    """The decision. `is_lost`: no flow. `is_gone`: confirmed, not only a first sign. `suspect`: at
    least one indication. `outlier`: "flow", "dp" or "". `stays_gone`: the flow is almost zero, and
    the pressure does not belong to the speed; it does not begin a loss, but continues one while the
    pumps change over.

    `flow_low`, `dp_low`: of each reading; None: unknown.

    `design_lpm`, `design_kpa`: expected values until the first means are known, for example after
    a restart while the flow ends; 0: unknown.
    """

    def __init__(self, design_lpm: float = 0.0, design_kpa: float = 0.0) -> None:
        self._start_lpm = max(_START_LEAST, _LEAST_FLOW * design_lpm)
        self._start_kpa = max(_START_LEAST, _LEAST_DP * design_kpa)
        self.is_lost = self.is_gone = self.suspect = self.stays_gone = False
        self.flow_low: bool | None = None
        self.dp_low: bool | None = None
        self.outlier = ""
        self.usual_lpm = 0.0
        self._flow: float | None = None
        self._kpa = self._speed = 0.0
        self._read_speed: float | None = None  # at the last reading of the flow
        self._silent_since: int | None = None
        self._outlier_since: int | None = None
        self._low_since = self._steady_since = 0
        self._start = 0.0, 0.0
        self._unread_loss = self._was_lost = self._was_gone = False
        self._read_at = 0
        self._proven = ""
        self._proven_at = 0

    def flow_read(self, drives: "list[DriveWatch]") -> None:
        """Note the speed at a new reading of the flow: the reading does not show a later rise."""
        self._read_speed = self._fastest(drives)

    def update(
        self,
        flow: "float | None",
        kpa: "float | None",
        drives: "list[DriveWatch]",
        is_hot: "bool | None",
        unit_at: int,
        now: int,
        dt: float,
        is_consistent: bool = True,
    ) -> None:
        """Use the readings at `now`: L/min, kPa. `unit_at`: time of the last answer of the unit.
        `dt`: seconds since the last call. `is_consistent`: flow and pressure fit each other.
        """
        speed = self._fastest(drives)
        at_reading = self._read_speed
        is_rising = speed is not None and at_reading is not None and speed > at_reading
        self.flow_low = self._is_flow_low(flow, at_reading if is_rising else speed)
        dp_low = self.dp_low = self._is_dp_low(kpa, flow, speed)
        dead, is_sign = self._dead_drives(drives, unit_at, now)
        count = (self.flow_low is True) + (dp_low is True) + (is_hot is True) + dead
        known = (self.flow_low is not None) + (dp_low is not None) + (is_hot is not None)
        known += dead > 0 or (speed is not None and is_hot is not True)
        self.suspect = count > 0 or self._silent_since is not None
        is_proven = self._is_proven(is_hot, dp_low, now)
        self.is_lost = count >= 2 or (count == known and count > 0) or is_proven
        used = None if self._proven == "dp" else flow
        confirmed = self._is_gone(used, kpa, dp_low) or is_hot is True
        self.is_gone = self.is_lost and (confirmed or (dead > 0 and not is_sign))
        is_zero = flow is not None and self._flow is not None and flow < _GONE_FLOW * self._flow
        self.stays_gone = is_zero and not self._fits_speed(kpa, speed)
        if flow is None and kpa is None:
            self._continue_unread(is_hot is True, now)
        else:
            self._unread_loss, self._read_at = False, now
            self._was_lost, self._was_gone = self.is_lost, self.is_gone
        self._find_outlier(dp_low, dead, now)
        if flow is not None and kpa is not None and not self.outlier:
            may_learn = self._flow is not None or self._is_steady(flow, kpa, now)
            if may_learn and not self.suspect and is_consistent:
                self._learn(flow, kpa, speed or 0.0, min(1.0, dt / _MEAN_S))
            if not self.is_lost or self.is_gone or dead > 0:
                self._low_since = now
            elif now - self._low_since >= _NEW_LEVEL_US:
                self._learn(flow, kpa, speed or 0.0, 1.0)

    def _continue_unread(self, is_hot: bool, now: int) -> None:
        """Neither flow nor pressure can be read: this alone does not end a loss."""
        self._unread_loss = self._unread_loss or (self.is_lost and is_hot)
        if self._unread_loss:
            self.is_lost = self.is_gone = True
        elif self._was_lost and now - self._read_at < _PROVEN_US:
            self.is_lost, self.is_gone = True, self.is_gone or self._was_gone

    def _fastest(self, drives: "list[DriveWatch]") -> "float | None":
        speeds = [drive.speed_pct for drive in drives if drive.speed_pct is not None]
        return max(speeds) if speeds else None

    def _ratio(self, speed: "float | None") -> float:
        """Return the speed over the mean speed, at most 1; 1 if it is unknown."""
        if speed is None or self._speed <= 0 or speed >= self._speed:
            return 1.0
        return speed / self._speed

    def _is_flow_low(self, flow: "float | None", speed: "float | None") -> "bool | None":
        if flow is None:
            return None
        if self._flow is None:
            return flow < self._start_lpm
        expected = self._flow * self._ratio(speed)
        return flow < _LOW_FLOW * expected or flow < _LEAST_FLOW * self.usual_lpm

    def _is_dp_low(
        self, kpa: "float | None", flow: "float | None", speed: "float | None"
    ) -> "bool | None":
        """Return whether the pressure does not belong to a flow at this speed."""
        if kpa is None:
            return None
        if self._flow is None:
            return kpa < self._start_kpa
        ratio = 1.0 if speed is None or self._speed <= 0 else speed / self._speed
        expected = self._kpa * ratio * ratio
        is_high = ratio > 0.1 and speed is not None and expected > 0.0
        if is_high and kpa > _HIGH_DP * expected + _DP_BAND_KPA:
            least = _SAME_FLOW * self._flow * ratio * sqrt_det(kpa / expected)
            return flow is None or flow < least
        expected = expected if ratio < 1.0 else self._kpa
        return kpa < _LOW_DP * expected or kpa < _LEAST_DP * self._kpa

    def _fits_speed(self, kpa: "float | None", speed: "float | None") -> bool:
        """Return whether the pressure is about that of the usual row at this speed."""
        if kpa is None:
            return False
        ratio = 1.0 if speed is None or self._speed <= 0 else speed / self._speed
        expected = self._kpa * ratio * ratio
        return _FITS_LOW * expected < kpa < _FITS_HIGH * expected

    def _dead_drives(
        self, drives: "list[DriveWatch]", unit_at: int, now: int
    ) -> "tuple[int, bool]":
        """Return (indications, True if only the silence of the drives indicates)."""
        if not drives or False in [drive.is_dead for drive in drives]:
            self._silent_since = None
            return 0, False
        if True not in [drive.is_silent for drive in drives]:
            return min(2, 1 + len(drives) // 2), False
        if self._silent_since is None:
            self._silent_since = now
        # If the unit is silent too, it is the bus.
        silent_at = max([drive.silent_at for drive in drives])
        is_sign = unit_at > silent_at and now - self._silent_since < _SIGN_US
        return (2, True) if is_sign else (0, True)

    def _is_proven(self, is_hot: "bool | None", dp_low: "bool | None", now: int) -> bool:
        """Return whether hot devices have confirmed a reading that is still low."""
        if is_hot is True and self.flow_low is not dp_low:
            proven = "flow" if self.flow_low else "dp" if dp_low else ""
            if proven and proven != self._proven:
                self._proven, self._proven_at = proven, now
        is_low = self.flow_low if self._proven == "flow" else dp_low
        if is_low is not True or now - self._proven_at >= _PROVEN_US:
            self._proven = ""
        return self._proven != ""

    def _is_gone(self, flow: "float | None", kpa: "float | None", dp_low: "bool | None") -> bool:
        """Return whether flow and pressure are almost zero, not only low."""
        if self._flow is None:
            return True
        flow_gone = flow is not None and flow < _GONE_FLOW * self._flow
        if flow_gone and kpa is not None and kpa > self._kpa:
            return dp_low is True
        return flow_gone or (flow is None and kpa is not None and kpa < _GONE_DP * self._kpa)

    def least_flow(self, flow: "float | None", kpa: "float | None") -> "float | None":
        """Return the flow, L/min, that both the meter and the pressure confirm: the higher of both.

        None: one of them is unknown.
        """
        if flow is None or kpa is None or self._flow is None or self._kpa <= 0:
            return None
        by_pressure = self._flow * sqrt_det(max(0.0, kpa) / self._kpa)
        return flow if flow > by_pressure else by_pressure

    def _find_outlier(self, dp_low: "bool | None", dead: int, now: int) -> None:
        """A reading alone against the other and the drives, for `_OUTLIER_US`, is false."""
        outlier = ""
        if dead == 0 and not self.is_lost and self.flow_low is not None and dp_low is not None:
            if dp_low and not self.flow_low:
                outlier = "dp"
            elif self.flow_low and not dp_low:
                outlier = "flow"
        if not outlier:
            self._outlier_since = None
            self.outlier = ""
        elif self._outlier_since is None:
            self._outlier_since = now
        elif now - self._outlier_since >= _OUTLIER_US:
            self.outlier = outlier

    def _is_steady(self, flow: float, kpa: float, now: int) -> bool:
        """Note the readings. Return whether they were steady for long enough to begin the means."""
        for value, start in zip((flow, kpa), self._start):
            if not _STEADY * start < value < start / _STEADY:
                self._start, self._steady_since = (flow, kpa), now
        return now - self._steady_since >= _STEADY_US

    def forget(self) -> None:
        """Learn the means again: another state of the row has become the usual one."""
        if self._flow is not None and not self.is_lost:
            self._flow, self.usual_lpm = None, 0.0

    def _learn(self, flow: float, kpa: float, speed: float, share: float) -> None:
        """Move the means by `share` to the readings."""
        if self._flow is None:
            if flow > 1.0 and kpa > 1.0 and speed > 5.0:
                self._flow, self._kpa, self._speed = flow, kpa, speed
                self.usual_lpm = flow
            return
        self._flow += (flow - self._flow) * share
        self._kpa += (kpa - self._kpa) * share
        self._speed += (speed - self._speed) * share
        if self._flow > self.usual_lpm:
            self.usual_lpm = self._flow
