# SPDX-License-Identifier: Apache-2.0
"""Largest steps of a change: the values in force before and after, defaults included.

Does not hold the steps; see `agent.core.tunable`. Does not remember earlier changes; see
`agent.remote.storage.day_values`.

The whole configurations are compared, not the parts of a message. So it has no effect how a message
names a key: by its number, by its path, by the path of a section, or by its removal.
"""

from agent.core.tunable import TUNABLES
from agent.remote.message.canonical import to_cbor
from agent.remote.message.parameters import MILLI_TO_NANO, to_nano
from agent.remote.message.reject import Rejection
from protocols.cbor import Decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from agent.core.tunable import Tunable

    class DayView(Protocol):
        """The values of a day; see `agent.remote.storage.day_values`."""

        def largest_move(self, number: int, value: int) -> int:
            """Return the largest distance between `value` and the values of this day."""
            ...


def check_steps(
    before: "dict[str, Any]", after: "dict[str, Any]", day: "DayView | None", has_quorum: bool
) -> "list[tuple[int, int, int]]":
    """Return the changed values with a step: (number, before, after), in 1e-9 of the unit.

    Raises `Rejection` (too_big_step). The values of a day also count, unless the change has the
    signatures of the role `LIMITS` (`has_quorum`).
    """
    moves = []
    for tunable in TUNABLES:
        old, new = _value_in_force(before, tunable), _value_in_force(after, tunable)
        if not tunable.step or old is None or new is None or old == new:
            continue
        largest = tunable.step * MILLI_TO_NANO
        if abs(new - old) > largest:
            raise _too_big(tunable, "at a time")
        if day is not None and not has_quorum and day.largest_move(tunable.number, new) > largest:
            raise _too_big(tunable, "in a day")
        moves.append((tunable.number, old, new))
    return moves


def _too_big(tunable: "Tunable", when: str) -> Rejection:
    limit = (tunable.path, tunable.step // 1000, when)
    return Rejection("too_big_step", "%s may change by %d %s" % limit)


def _value_in_force(raw: "Any", tunable: "Tunable") -> "int | None":
    """Return the value, or its default, in 1e-9. None: it is no number."""
    for name in tunable.path.split("."):
        raw = raw.get(name) if type(raw) is dict else None
    if raw is None:
        return None if tunable.default is None else tunable.default * MILLI_TO_NANO
    number: int | Decimal = to_cbor(raw) if type(raw) in (int, float) else 0
    return to_nano(number) if type(raw) in (int, float) else None
