# SPDX-License-Identifier: Apache-2.0
"""Failed starts of a board, and what the next start runs.

Frozen into the firmware. Does not start anything; see _supervisor.py.

    failures    the start runs
    0 to 2      NEWEST     the chosen slot, the newest good configuration
    3 to 5      OTHER      the other slot, if it is good
    6 to 8      CONFIRMED  the chosen slot, the last confirmed configuration
    9 to 11     IMAGE      the chosen slot, the configuration in the application
    12          RECOVERY   the recovery mode; then the count begins again

A start has failed if the agent ended with an exception, or if a reset without a power cut ended it
before 10 calm minutes. A power cut is no failure: a site with bad power keeps its agent. Starts of
an application on trial count in its own record (_slots.py). The agent has another count, which
leaves only the protection after five starts (agent/runtime/boot_loop.py).
"""

try:
    import _files  # type: ignore[import-not-found]
except ImportError:  # in the tests
    from deploy.firmware.supervisor import _files

PATH = "/flash/boot.failures"
NEWEST, OTHER, CONFIRMED, IMAGE, RECOVERY = 0, 1, 2, 3, 4
NAMES = (
    "newest",
    "other slot",
    "confirmed configuration",
    "configuration of the image",
    "recovery",
)
STARTS_PER_LEVEL = 3


class FailureCount:
    """The count. `failures`: failed starts since the last calm run; `level`: see the module."""

    def __init__(self, is_power_on: bool) -> None:
        body = _files.unseal(_files.read(PATH))
        self._stored = (0, 0) if body is None or len(body) != 2 else (body[0], body[1])
        self.failures: int = self._stored[0]
        is_running = self._stored[1]
        if is_running and not is_power_on:
            self.failures += 1
        self.level = min(self.failures // STARTS_PER_LEVEL, RECOVERY)

    def begin(self, is_trial: bool) -> None:
        """Record the begin of a start. `is_trial`: it does not count here."""
        self._store(self.failures, 0 if is_trial else 1)

    def fail(self, is_trial: bool) -> None:
        """Record that the agent ended with an exception."""
        self._store(self.failures if is_trial else self.failures + 1, 0)

    def end(self) -> None:
        """Record an orderly end."""
        self._store(self.failures, 0)

    def clear(self) -> None:
        """Begin again: the agent ran for 10 minutes, or the recovery mode has ended."""
        self.failures = 0
        self._store(0, 0)

    def _store(self, failures: int, is_running: int) -> None:
        """Write the count if it changes."""
        counted = (min(failures, 255), is_running)
        if counted != self._stored and _files.replace(PATH, _files.seal(bytes(counted))):
            self._stored = counted
