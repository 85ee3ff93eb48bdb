"""What the bodies of all signed messages share: their times and their counts."""

from agent.remote.message.reject import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EPOCH_S = 1_767_225_600
"""2026-01-01T00:00:00Z, seconds since 1970."""
HOUR_S, MINUTE_S = 3600, 60
LONGEST_CONFIRM = 14 * 24 * 60
"""Minutes."""
_MOST_COUNT = (1 << 32) - 1


def count(part: "Any", most: int = _MOST_COUNT) -> None:
    """Raise `Refusal` (malformed) unless `part` is a whole number from 0 to `most`."""
    if type(part) is not int or not 0 <= part <= most:
        raise Refusal("malformed", "a count from 0 to %d is needed" % most)
