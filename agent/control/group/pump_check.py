# SPDX-License-Identifier: Apache-2.0
"""Whether the pumps of this unit turn when they have a command.

Does not command anything; see `agent.control.group.component`. A unit whose pumps stand still
raises its command, and the others must not follow it. It needs no trip and no alarm of the drive:
only the speed that the drive reports. Without a reported speed it says nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.control.actuator.pump import PumpActuator

_STILL_PCT = 2.0
_STILL_S = 3
"""Time after which a pump that turned before stands still. It bridges a reading that is late."""
_FAILED_S = 10
"""Time after which the unit cannot cool. Longer than a dip of the grid and than the start of a
drive, which shows its first speed within 8 s."""
_PROVE_S = 3
"""Time of turning after which the unit can cool again."""
_RETRY_S = 300
"""A unit that stands by proves nothing. After this time it may try again, as a blocked pump does in
`agent.safety.drive_watch`."""


class PumpCheck:
    """The check of one unit. `is_still`: its command is no speed that others can follow.
    `has_failed`: it cannot cool.
    """

    def __init__(self) -> None:
        self.is_still = self.has_failed = False
        self._still_s = self._turns_s = self._rest_s = 0

    def step(self, pumps: "Sequence[PumpActuator]") -> None:
        """Take the speeds of this second."""
        speeds = [pump.speed() for pump in pumps if pump.running]
        known = [speed for speed in speeds if speed is not None]
        if len(known) < len(speeds) or not known:
            self._rest_s += 1
            self._still_s = self._turns_s = 0  # the next command has the whole time of a start
            if self._rest_s >= _RETRY_S:
                self.is_still = self.has_failed = False
            return
        self._rest_s = 0
        is_turning = max(known) >= _STILL_PCT
        self._turns_s = self._turns_s + 1 if is_turning else 0
        self._still_s = 0 if is_turning else self._still_s + 1
        if self._still_s >= _FAILED_S:
            self.has_failed = True
        elif self._turns_s >= _PROVE_S:
            self.has_failed = False
        self.is_still = self._still_s >= _STILL_S
