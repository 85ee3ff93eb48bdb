# SPDX-License-Identifier: Apache-2.0
"""Times and counters in the bodies of all signed messages."""

from agent.remote.message.reject import Rejection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EPOCH_S = 1_767_225_600
"""2026-01-01T00:00:00Z, seconds since 1970."""
HOUR_S, MINUTE_S = 3600, 60
LONGEST_CONFIRM = 14 * 24 * 60
"""Minutes."""
_MAX_COUNT = (1 << 32) - 1


def check_count(value: "Any", max_value: int = _MAX_COUNT) -> None:
    """Raise `Rejection` (malformed) unless `value` is an integer from 0 to `max_value`."""
    if type(value) is not int or not 0 <= value <= max_value:
        raise Rejection("malformed", "a count from 0 to %d is needed" % max_value)
