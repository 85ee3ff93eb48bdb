"""Units of time shared by every floor: monotonic integer microseconds.

Not a clock: nothing here knows what time it is. `NEVER` is a deadline that is not there; it is
later than every real one, so that `min()` over deadlines needs no special case.
"""

MILLISECOND = 1_000
SECOND = 1_000_000
NEVER = 1 << 62
