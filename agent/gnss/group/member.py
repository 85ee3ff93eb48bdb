# SPDX-License-Identifier: Apache-2.0
"""One receiver of a group, with a clock of its own.

Does not compare the receivers; see `agent.gnss.group.component`. The clock of a member uses the
fixes of this receiver alone, without pulses and cross-checks. So its interval contains UTC while
this receiver is true, and its own checks find steps and false rates.
"""

from agent.clock.clock_state import SYNC
from agent.clock.estimate.error_budget import StatedErrors
from agent.clock.estimate.selection import Interval
from agent.clock.utc_clock import UtcClock
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.config_records import Config
    from drivers.gnss.receiver import Fix, ReceiverDriver

ALARM_ROUNDS = 3
_SILENCE_US = 10 * SECOND


class GroupMember:
    """A receiver. `driver`: None for the main receiver, whose fixes come from the agent.

    `stated`: errors of the sentences that the configuration states. `outside`: rounds in a row in
    which the interval contradicts the majority.
    """

    def __init__(
        self,
        name: str,
        config: "Config",
        stated: StatedErrors,
        min_utc_us: int,
        driver: "ReceiverDriver | None",
    ) -> None:
        self.name = name
        self.driver = driver
        self.stated = stated
        self.clock = UtcClock(
            config.drift_ppb,
            config.tempco_ppb_per_c,
            min_utc_us,
            site_e7=config.position_e7,
            radius_m=config.position_radius_m,
            stated=stated,
        )
        self.outside = 0
        self.interval: Interval | None = None
        self.good_since: int | None = None
        """Since when the member has an interval that does not contradict; None: it has none."""
        self._usable_at = 0

    def start(self, now: int) -> None:
        """Start; a member is not silent before it had time for a fix."""
        self._usable_at = now

    def add_fix(self, fix: "Fix") -> None:
        """Add a fix of this receiver."""
        self.clock.add_fix(fix)

    def measure(self, min_utc_us: int, now: int) -> None:
        """Set `interval` for `now`; None while the receiver is not in the state sync.

        `min_utc_us`: earliest valid UTC.
        """
        clock = self.clock
        if min_utc_us > clock.min_utc_us:
            clock.raise_min_utc(min_utc_us, now)
        clock.slew(SECOND, now)
        # Unknown leap seconds are not in it: they are the same for all receivers.
        utc, bound = clock.utc(now), clock.no_leap_bound_us(now)
        if utc is None or bound is None or clock.state(now) != SYNC:
            self.interval = None
            return
        self._usable_at = now
        offset = utc - now
        self.interval = Interval(offset - bound, offset + bound)

    def judge(self, is_outside: bool, now: int) -> None:
        """Count whether the interval contradicts the majority."""
        self.outside = self.outside + 1 if is_outside else 0
        if is_outside or self.interval is None:
            self.good_since = None
        elif self.good_since is None:
            self.good_since = now

    def is_silent(self, now: int) -> bool:
        """Return whether the receiver has had no usable time for `_SILENCE_US`."""
        return now - self._usable_at > _SILENCE_US

    def fault(self, now: int) -> str:
        """Return why the receiver is not usable; empty if it is."""
        if self.outside >= ALARM_ROUNDS:
            return "differs from the others"
        return "no usable fixes" if self.is_silent(now) else ""
