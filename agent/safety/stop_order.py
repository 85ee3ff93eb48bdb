# SPDX-License-Identifier: Apache-2.0
"""Order of a stop: the loads are limited and switched off, then the pumps stop.

Does not decide that the unit must stop; see `agent.safety.interlock` and
`agent.control.operation.manual`.
Without pumps, a load at full power reaches its case limit in seconds. So each stop of the pumps
first asks `may_stop`. It is True when the loads have proven by their power that they are off, at
the latest after `_PROOF_US`. A unit without the component `throttle` cannot command loads: the
pumps stop immediately.

A stop starts no pump: if all of them stand when it begins, they may stay so. So a restart or a
takeover of the controller during a stop does not run them while its proof is made again.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.control.actuator.pump import PumpActuator
    from agent.core.context import LoadLimitsView

_PROOF_US = 5 * SECOND
_ASKED_US = 3 * SECOND
_NEAR_PCT = 0.5


class StopOrder:
    """The order of the present stop. `limits`: set at the start of the agent, None: no loads."""

    def __init__(self) -> None:
        self.limits: LoadLimitsView | None = None
        self._since = self._asked_at = 0
        self._done = self._is_expected = False
        self._pumps: Sequence[PumpActuator] = ()

    def use_limits(
        self, limits: "LoadLimitsView | None", pumps: "Sequence[PumpActuator]" = ()
    ) -> None:
        """Command the loads by `limits`; None: the unit has no loads. `pumps`: what is stopped."""
        self.limits, self._pumps = limits, pumps

    def expect(self, now: int) -> None:
        """A mode of before the restart asks in the first cycle. Until then no flow is usual."""
        self._asked_at, self._is_expected = now, True

    def may_stop(self, reason: str, now: int, more_us: int = 0, pump_pct: float = 0.0) -> bool:
        """Command the loads off. Return whether the pumps may stop now; called in each cycle of the
        stop. `more_us`: time to wait longer for the proof. `pump_pct`: what the pumps get then.
        """
        limits, is_new = self.limits, self._is_expected or not self.is_asked(now)
        self._is_expected = False
        if limits is None:
            self._asked_at = now
            return True
        limits.limit_all(reason)
        limits.shed_all(reason)
        if is_new:
            self._since, self._done = now, self._are_pumps_at(pump_pct)
        self._asked_at = now
        self._done = self._done or limits.proven_off() or now - self._since >= _PROOF_US + more_us
        return self._done

    def _are_pumps_at(self, percent: float) -> bool:
        """Return whether all pumps are at `percent` at most. A lost drive does not count."""
        speeds = [pump.speed() for pump in self._pumps if not pump.session.lost]
        fast = [speed for speed in speeds if speed is None or speed > percent + _NEAR_PCT]
        return bool(speeds) and not fast

    def is_asked(self, now: int) -> bool:
        """Return whether a stop is in progress."""
        return self._asked_at > 0 and now - self._asked_at <= _ASKED_US

    def is_late(self, now: int) -> bool:
        """Return whether the time for the proof has passed without it."""
        return not self._done and now - self._since >= _PROOF_US
