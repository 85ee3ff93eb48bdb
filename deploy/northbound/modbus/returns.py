# SPDX-License-Identifier: Apache-2.0
"""The way back of a set-point whose client has ended: its steps, and the pauses after a failure.

Does not send; see `deploy.northbound.modbus.set_points`.
"""

from collections.abc import Callable

from deploy.northbound.snapshot import SetPoint

_RETRY_S, _LONGEST_RETRY_S = 5.0, 60.0
"""A return that is refused, by this server or by the unit, is sent again; the pause doubles."""
_ROLLBACK_S, _LONGEST_ROLLBACK_S = 600.0, 3600.0
"""The same for one that the unit rolls back: its trials must leave time to changes of others."""


def next_step(setpoint: SetPoint, before: int) -> tuple[int, bool]:
    """Return the next raw value on the way back to `before`, and whether it is the last one.

    Clients can ramp, so `before` can be more than the largest step away. The limits are those of
    the clients, too: a value outside of them, as operators can set it, is not reached. The return
    ends at the limit.
    """
    target = min(max(before, setpoint.low), setpoint.high)
    configured, step = setpoint.configured, setpoint.step
    if configured is None or not step:
        return target, True
    value = min(max(target, configured - step), configured + step)
    return value, value == target


class ReturnPauses:
    """Pauses by set-point. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._next_s: dict[str, float] = {}

    def is_over(self, key: str) -> bool:
        """Return whether a return can be sent."""
        now = self._clock()
        return now >= self._until.get(key, now)

    def begin(self, key: str, *, rolled_back: bool) -> None:
        """Begin the pause after a return that was refused or rolled back."""
        first_s, most_s = _RETRY_S, _LONGEST_RETRY_S
        if rolled_back:
            first_s, most_s = _ROLLBACK_S, _LONGEST_ROLLBACK_S
        pause_s = min(max(self._next_s.get(key, 0.0), first_s), most_s)
        self._until[key] = self._clock() + pause_s
        self._next_s[key] = 2 * pause_s

    def wait_for_record(self, key: str) -> None:
        """Note that a step is kept: the record can have the value before it for some seconds."""
        self.end(key)
        self._until[key] = self._clock() + _RETRY_S

    def end(self, key: str) -> None:
        """End the pause of a set-point; the next one is short again."""
        self._until.pop(key, None)
        self._next_s.pop(key, None)
