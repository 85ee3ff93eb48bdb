"""The one clock of a CPython process, and how far the system's UTC is from it.

    monotonic()   the shell's time, microseconds
    use_raw()     from now on by CLOCK_MONOTONIC_RAW
    system_ns()   the system's UTC less the shell's time, nanoseconds

CLOCK_MONOTONIC is steered by whoever disciplines the system's clock (clock_gettime(2)): chronyd
slews it by up to 10 %. An agent that feeds chronyd would see its own oscillator run after itself,
so it counts by the raw one, which nobody steers.
"""

import time

_clocks = [time.CLOCK_MONOTONIC]
_SAMPLES = 3


def use_raw() -> None:
    """Count by the oscillator itself; to be called before the first time is taken."""
    _clocks[0] = time.CLOCK_MONOTONIC_RAW


def _now_ns() -> int:
    return time.clock_gettime_ns(_clocks[0])


def monotonic() -> int:
    """Return the time in microseconds."""
    return time.clock_gettime_ns(_clocks[0]) // 1000


def system_offset_ns() -> int:
    """Return the system's UTC (since 1970) less `monotonic`, nanoseconds; the closest of 3 looks.

    A look takes the system's time between two of the monotonic one; half the gap is its error.
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
