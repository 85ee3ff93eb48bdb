# SPDX-License-Identifier: Apache-2.0
"""The monotonic clock of a CPython process, and the offset of the system's UTC.

    monotonic()          the time of the runtime, microseconds
    system_offset_ns()   the system's UTC minus the time of the runtime, nanoseconds

The service that disciplines the system clock also adjusts CLOCK_MONOTONIC (clock_gettime(2)):
chronyd slews it by up to 10 %, ntpd by 500 ppm. The agent would take that for the oscillator, and
one that feeds chronyd would measure its own corrections. Therefore the agent uses
CLOCK_MONOTONIC_RAW, which has no adjustment, wherever the system has it.
"""

import time

_CLOCK_ID = getattr(time, "CLOCK_MONOTONIC_RAW", time.CLOCK_MONOTONIC)
_SAMPLES = 3


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
