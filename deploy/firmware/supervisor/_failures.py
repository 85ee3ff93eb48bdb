# SPDX-License-Identifier: Apache-2.0
"""Failed starts of a board, and what the next start runs.

Frozen into the firmware. Does not start anything; see _supervisor.py.

    failures    the start runs
    0 to 2      NEWEST     the chosen slot, the newest good configuration
    3 to 5      OTHER      the other slot, if it is good
    6 to 8      CONFIRMED  the chosen slot, the last confirmed configuration
    9 to 11     IMAGE      the chosen slot, the configuration in the application
    12          RECOVERY   the recovery mode; then the count begins again

A start has failed if the agent or the check of the slots ended with an exception, or if a reset
without a power cut ended it before 10 calm minutes. A power cut is no failure: a site with bad
power keeps its agent. Starts of an application on trial count in its own record (_slots.py). The
agent has another count, which leaves only the protection after five starts
(agent/runtime/boot_loop.py).

The count is a file, and a register of the chip that stays over a reset without a power cut. The
register counts if the storage is full or damaged. After a power cut the file counts.
"""

try:
    import _files  # type: ignore[import-not-found]
except ImportError:  # in the tests
    from deploy.firmware.supervisor import _files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class RetainedRegister(Protocol):
        """32 bits that stay over a reset; after a power cut they have any value."""

        def read_retained(self) -> int: ...
        def write_retained(self, value: int) -> None: ...


PATH = "/flash/boot.failures"
_MAGIC = 0x4C44  # in the upper half of the register
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

    def __init__(self, is_power_on: bool, register: "RetainedRegister") -> None:
        self._register = register
        body = _files.unseal(_files.read(PATH))
        self._stored = (0, 0) if body is None or len(body) != 2 else (body[0], body[1])
        word = 0 if is_power_on else register.read_retained()
        counted = (word >> 8 & 255, word & 255) if word >> 16 == _MAGIC else self._stored
        self.failures: int = counted[0]
        if counted[1] and not is_power_on:
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
        """Write the count; the file only if it changes."""
        counted = (min(failures, 255), is_running)
        self._register.write_retained(_MAGIC << 16 | counted[0] << 8 | counted[1])
        if counted != self._stored and _files.replace(PATH, _files.seal(bytes(counted))):
            self._stored = counted
