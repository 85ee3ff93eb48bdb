# SPDX-License-Identifier: Apache-2.0
"""Times and counters in the bodies of all signed messages.

Does not divide a counter into its parts; see `agent.remote.message.counter`, which also has the
rules for its bounds.
"""

from agent.remote.message.counter import EPOCH_BITS
from agent.remote.message.reject import Rejection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EPOCH_S = 1_767_225_600
"""2026-01-01T00:00:00Z, seconds since 1970."""
HOUR_S, MINUTE_S = 3600, 60
LONGEST_CONFIRM = 14 * 24 * 60
"""Minutes."""
MAX_AHEAD_S = 24 * 3600
SITE_AHEAD_S = 600
UNDATED_AHEAD_S = 400 * 24 * 3600
MAX_COUNT = (1 << EPOCH_BITS) - 1
MAX_COUNTER = (1 << EPOCH_BITS + 8) - 1


def is_count(value: "Any", max_value: int) -> bool:
    """Return whether `value` is an integer from 0 to `max_value`."""
    return type(value) is int and 0 <= value <= max_value


def check_count(value: "Any", max_value: int = MAX_COUNT) -> None:
    """Raise `Rejection` (malformed) unless `value` is a count; see `is_count`."""
    if not is_count(value, max_value):
        raise Rejection("malformed", "a count from 0 to %d is needed" % max_value)


def check_counter(value: "Any") -> None:
    """Raise `Rejection` (malformed) unless `value` can be a counter: 256 epochs."""
    check_count(value, MAX_COUNTER)
