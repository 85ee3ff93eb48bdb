# SPDX-License-Identifier: Apache-2.0
"""The monotonic clock of a CPython process, and the offset of the system's UTC.

    monotonic()          the time of the runtime, microseconds
    system_offset_ns()   the system's UTC minus the time of the runtime, nanoseconds
    SuspendWatch         finds that the host was suspended

The service that disciplines the system clock also adjusts CLOCK_MONOTONIC (clock_gettime(2)):
chronyd slews it by up to 10 %, ntpd by 500 ppm. The agent would take that for the oscillator, and
one that feeds chronyd would measure its own corrections. Therefore the agent uses
CLOCK_MONOTONIC_RAW, which has no adjustment, wherever the system has it.

All of these stand still while the host is suspended. CLOCK_BOOTTIME of Linux goes on, so its
distance from CLOCK_MONOTONIC grows. A virtual machine that its host stops shows nothing.
"""

import time

_CLOCK_ID = getattr(time, "CLOCK_MONOTONIC_RAW", time.CLOCK_MONOTONIC)
_SAMPLES = 3
_BOOT_ID = getattr(time, "CLOCK_BOOTTIME", None)
_LEAST_SUSPENSION_NS = 1_000_000


def _now_ns() -> int:
    return time.clock_gettime_ns(_CLOCK_ID)


def monotonic() -> int:
    """Return the time in microseconds."""
    return time.clock_gettime_ns(_CLOCK_ID) // 1000


def system_offset_ns() -> int:
    """Return the system's UTC (since 1970) minus `monotonic`, nanoseconds; the best of 3 samples.

    A sample reads the system time between two monotonic times; half the gap is its error.
    """
    best_offset, smallest_gap = 0, 1 << 62
    for _ in range(_SAMPLES):
        before = _now_ns()
        system = time.time_ns()
        after = _now_ns()
        if after - before < smallest_gap:
            smallest_gap = after - before
            best_offset = system - (before + after) // 2
    return best_offset


class SuspendWatch:
    """Finds that the host was suspended since the object was made, by 1 ms or more.

    A sample reads the monotonic time between two times of CLOCK_BOOTTIME. The process can be
    interrupted in between, so both differences are only limits of the time in suspension.
    """

    def __init__(self) -> None:
        self._highest_ns = self._limits()[1]

    def _limits(self) -> tuple[int, int]:
        if _BOOT_ID is None:
            return 0, 0
        before = time.clock_gettime_ns(_BOOT_ID)
        monotonic_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        return before - monotonic_ns, time.clock_gettime_ns(_BOOT_ID) - monotonic_ns

    def was_suspended(self) -> bool:
        """Return whether the host was suspended."""
        lowest, highest = self._limits()
        if lowest - self._highest_ns >= _LEAST_SUSPENSION_NS:
            return True
        self._highest_ns = min(self._highest_ns, highest)
        return False
