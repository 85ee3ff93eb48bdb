# SPDX-License-Identifier: Apache-2.0
"""What a time server states about the time of the agent: NTP served or not, and the PTP class.

    state, bound                                        class  traceable  served
    sync by pulses, up to 100 us                          6    yes        NTP, PTP
    sync or holdover, up to 1 ms                          7    yes        NTP, PTP
    sync or holdover, up to 1 s                          52    no         NTP, PTP
    untrusted, free, leap seconds unknown, old status   248    no         nothing

Classes 6, 7, 52 and 248 are those of IEEE 1588-2019, table 4. The accuracy is the code of table 5
that covers the bound. A worse statement applies immediately, a better one after 60 s, so that the
choice of a grandmaster does not toggle.
"""

from typing import Any, NamedTuple

from agent.clock.clock_state import TRUSTED

_ACCURACY_NS = (
    (0x20, 25),
    (0x21, 100),
    (0x22, 250),
    (0x23, 1_000),
    (0x24, 2_500),
    (0x25, 10_000),
    (0x26, 25_000),
    (0x27, 100_000),
    (0x28, 250_000),
    (0x29, 1_000_000),
    (0x2A, 2_500_000),
    (0x2B, 10_000_000),
    (0x2C, 25_000_000),
    (0x2D, 100_000_000),
    (0x2E, 250_000_000),
    (0x2F, 1_000_000_000),
)
_UNKNOWN = 0xFE
_TAI_GPS_S = 19
_PRIMARY_US, _HOLDOVER_US, _MOST_US = 100, 1_000, 1_000_000
_MAX_AGE_S = 5.0
BETTER_AFTER_S = 60.0


class Statement(NamedTuple):
    """The statement. `may_serve`: the time of the agent is good enough to be served.

    `utc_offset_s`: TAI minus UTC. `reason`: why nothing is served.
    """

    may_serve: bool
    clock_class: int
    accuracy: int
    traceable: bool
    utc_offset_s: int
    reason: str


def accuracy_code(bound_us: int) -> int:
    """Return the code of the smallest accuracy that covers a bound."""
    for code, limit_ns in _ACCURACY_NS:
        if bound_us * 1000 <= limit_ns:
            return code
    return _UNKNOWN


def make_statement(snapshot: dict[str, Any], age_s: float, extra_us: int = 0) -> Statement:
    """Return the statement for a status of the agent; `extra_us`: error of the system clock."""
    clock = snapshot["clock"]
    bound_us, state = clock["bound_us"], clock["state"]
    offset_s = _TAI_GPS_S + clock["leap_s"]
    reason = ""
    if not 0 <= age_s <= _MAX_AGE_S:
        reason = "the status of the agent is old"
    elif state not in TRUSTED:
        reason = f"the clock is {state}"
    elif "leap_uncertain" in clock["flags"]:
        reason = "the leap seconds are unknown"
    elif bound_us is None or bound_us + extra_us > _MOST_US:
        reason = "the error bound is above 1 s"
    if reason:
        return Statement(
            may_serve=False,
            clock_class=248,
            accuracy=_UNKNOWN,
            traceable=False,
            utc_offset_s=offset_s,
            reason=reason,
        )
    bound_us += extra_us
    if state == "sync" and clock["source"] == "pulses" and bound_us <= _PRIMARY_US:
        clock_class = 6
    else:
        clock_class = 7 if bound_us <= _HOLDOVER_US else 52
    return Statement(
        may_serve=True,
        clock_class=clock_class,
        accuracy=accuracy_code(bound_us),
        traceable=clock_class < 52,
        utc_offset_s=offset_s,
        reason="",
    )


class Hysteresis:
    """Delays a better statement by `BETTER_AFTER_S`; a worse one applies immediately.

    The first statement applies immediately too.
    """

    def __init__(self) -> None:
        self.current: Statement | None = None
        self._better_since: float | None = None

    def update(self, new: Statement, now_s: float) -> Statement:
        """Return the statement in force; `now_s` is a monotonic time."""
        current = self.current
        is_better = current is not None and _rank(new) < _rank(current)
        if current is None or not is_better:
            self._better_since = None
            self.current = new
            return new
        if self._better_since is None:
            self._better_since = now_s
        if now_s - self._better_since >= BETTER_AFTER_S:
            self._better_since = None
            self.current = new
            return new
        return current


def _rank(statement: Statement) -> tuple[int, int]:
    return statement.clock_class, statement.accuracy
