# SPDX-License-Identifier: Apache-2.0
"""Units of time of all layers: monotonic integer microseconds.

Does not read a clock. `NEVER` stands for "no deadline". It is later than every real deadline, so
that `min()` over deadlines needs no special case.
"""

MILLISECOND = 1_000
SECOND = 1_000_000
NEVER = 1 << 62
