# SPDX-License-Identifier: Apache-2.0
"""Last line of defence: how often a runtime restarts the agent after an exception of its core.

Does not restart the agent; the caller does, in the same process and from its stored configuration.
The new loops begin at the present outputs, so no actuator moves. After `MAX_RESTARTS` in
`WINDOW_US` the process ends with the exception. The service manager or the watchdog takes over.
"""

from protocols.time_units import SECOND

MAX_RESTARTS = 5
WINDOW_US = 600 * SECOND


class CrashLimit:
    """The restarts of one process. `count`: all of them."""

    def __init__(self) -> None:
        self.count = 0
        self._times: list[int] = []

    def allows_restart(self, now: int) -> bool:
        """Record a crash at `now`. Return True if the agent can start again."""
        self._times = [time for time in self._times if now - time < WINDOW_US]
        if len(self._times) >= MAX_RESTARTS:
            return False
        self._times.append(now)
        self.count += 1
        return True
