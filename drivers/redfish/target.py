# SPDX-License-Identifier: Apache-2.0
"""Power limit of one Redfish resource: what was requested, sent, accepted and read back.

Does not send; see `drivers.redfish.client`. Two schemas are supported:

    environment   PATCH .../EnvironmentMetrics {"PowerLimitWatts": {"SetPoint": W, "ControlMode":
                  "Automatic"}}; the range is AllowableMin to AllowableMax, if the service gives it
    power         PATCH .../Power {"PowerControl": [{"PowerLimit": {"LimitInWatts": W, ...}}]}

EnvironmentMetrics can have the temperature of the device (TemperatureCelsius).

An accepted limit is not proof. The limit is read back until it shows the requested value. A service
can need time for this (`effect_us`, or `deferred` until its restart). If it then shows another
limit, or lost the limit in a restart, the limit is due again. A limit is always a number: the rated
power means "no limit".

Source: DMTF DSP2046 (the two schemas), DSP0266 (If-Match).
"""

from protocols.rounding import round_decimal
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ENVIRONMENT, POWER = "environment", "power"
LIMIT, SWITCH, READ = 1, 2, 3
"""Kinds of requests."""
_POLL_PERIOD_US = 10 * SECOND
_CASE_PERIOD_US = 2 * SECOND
"""Period of the readings of a target that reports a temperature."""
_WATCH_US = 6 * SECOND
_CONFIRM_PAUSE_US = SECOND
REJECT_PAUSE = 30 * SECOND
_RESEND_PAUSE_US = 10 * SECOND
_UNVERIFIED_AFTER = 3
_STALE_ETAG = (412, 428)


class RedfishTarget:
    """One resource with a power limit, in whole watts.

    `requested_w` is the requested limit, `reported_w` the limit as last read, `min_w` and `max_w`
    the range that the service allows. `power_w` is the power as read at `read_at`,
    from a request of `asked_at`: a slow service can have measured it soon after the request.
    `rejected_status` is the HTTP status of the last rejected limit, or 0. `write_unverified`: the
    service still shows another limit after several writes. `answered_at`: the service
    has confirmed the last limit. Until `watch_until` it is read each second. `case_c` is the
    temperature of the device, °C, if the service reports it.
    """

    def __init__(
        self, path: str, schema: str, effect_us: int = 0, deferred: bool = False, system: str = ""
    ) -> None:
        self.path = path
        self.schema = schema
        self.effect_us = effect_us
        self.deferred = deferred
        self.system = system
        self.requested_w: int | None = None
        self.reported_w: int | None = None
        self.min_w: int | None = None
        self.max_w: int | None = None
        self.power_w: int | None = None
        self.case_c: float | None = None
        self.read_at = self.asked_at = 0
        self.rejected_status = 0
        self.write_unverified = False
        self.power_on = True
        self.forced_off = False
        self.answered_at = 0
        self.watch_until = 0
        self.sent_count = 0
        self.etag = ""
        self.needs_etag = False  # the service requires If-Match with a limit
        self.limit_due = NEVER
        self.switch_due = NEVER
        self.read_due = 0
        self.accepted_at: int | None = None
        self.unverified_count = 0

    @property
    def target_w(self) -> "int | None":
        """`requested_w` limited to the range that the service allows."""
        watts = self.requested_w
        if watts is None:
            return None
        if self.max_w is not None and watts > self.max_w:
            watts = self.max_w
        if self.min_w is not None and watts < self.min_w:
            watts = self.min_w
        return watts

    @property
    def is_in_force(self) -> bool:
        """True if the service shows the requested limit."""
        return (
            self.requested_w is not None and self.reported_w == self.target_w and not self.deferred
        )

    @property
    def is_increase(self) -> bool:
        """True if the limit to send is higher than the limit now in force."""
        return self.reported_w is not None and (self.target_w or 0) > self.reported_w

    def request_limit(self, watts: int, now: int) -> bool:
        """Request a limit; return whether it is due. It is watched until it is in force."""
        if self.requested_w == watts:
            return False
        self.requested_w = watts
        self.unverified_count = 0
        self.watch(self.effect_us + _WATCH_US, now)
        if (
            self.reported_w is not None
            and self.target_w == self.reported_w
            and self.accepted_at is None
        ):
            return False
        self.limit_due = now
        return True

    def request_power(self, on: bool, now: int, force: bool) -> bool:
        """Request power on or off; return whether it is due. `force`: without a shutdown."""
        if not self.system or (self.power_on == on and not force):
            return False
        self.power_on, self.forced_off = on, force
        self.switch_due = now
        self.watch(_WATCH_US, now)
        return True

    def note_off(self) -> None:
        """Note that it was switched off before a restart; nothing is sent."""
        self.power_on = False

    def watch(self, duration: int, now: int) -> None:
        """Read each second for `duration` from now on."""
        self.watch_until = max(self.watch_until, now + duration)
        self.read_due = min(self.read_due, now + _CONFIRM_PAUSE_US)

    def make_due(self, action: int, due: int) -> None:
        """Set the time of the next request of a kind."""
        if action == LIMIT:
            self.limit_due, self.accepted_at = due, None
        elif action == SWITCH:
            self.switch_due = due
        else:
            self.read_due = due

    def retry(self, action: int, due: int) -> None:
        """Send a failed request again at `due`, or earlier if it is due earlier."""
        if action == READ:
            self.read_due = due
        else:
            self.make_due(action, min(self.limit_due if action == LIMIT else self.switch_due, due))

    def limit_sent(self, now: int) -> None:
        """Note that the limit was sent."""
        self.limit_due = NEVER
        self.sent_count += 1
        self.accepted_at = now

    def read_sent(self, now: int) -> None:
        """Schedule the next reading."""
        period = _POLL_PERIOD_US if self.case_c is None else _CASE_PERIOD_US
        self.read_due = now + (_CONFIRM_PAUSE_US if now < self.watch_until else period)

    def take_etag(self, etag: str) -> None:
        """Store the tag of a reading."""
        self.etag = etag

    def limit_answered(self, status: int, now: int) -> None:
        """Handle the HTTP status of the request that sent the limit."""
        if status < 300:
            self.rejected_status = 0
            self.answered_at = now
            self.read_due = now + _CONFIRM_PAUSE_US
            return
        self.read_due = now  # reads the allowed range and the present tag
        self.accepted_at = None
        if status in _STALE_ETAG and self.unverified_count < _UNVERIFIED_AFTER:
            self.unverified_count += 1
            self.limit_due = now + 1  # after the reading
            self.needs_etag = True
            return
        self.rejected_status = status
        self.limit_due = now + REJECT_PAUSE

    def check_limit(self, now: int, asked_at: int) -> None:
        """Compare the limit that was read with the requested one; decide whether to send again.
        `asked_at`: the time of the request of this reading.
        """
        self.read_at, self.asked_at = now, asked_at
        if self.requested_w is None or (self.limit_due < NEVER and not self.rejected_status):
            return
        if self.reported_w == self.target_w:
            self.accepted_at, self.unverified_count, self.write_unverified = None, 0, False
            self.rejected_status = 0
            self.limit_due = NEVER
            return
        if self.rejected_status:
            if self.min_w is not None and self.target_w != self.requested_w:
                self.rejected_status = 0
                self.limit_due = now  # the rejected limit was out of the range that is now known
            return
        if self.accepted_at is not None and (
            self.deferred or now - self.accepted_at < self.effect_us
        ):
            self.read_due = min(
                self.read_due, now + (_POLL_PERIOD_US if self.deferred else _CONFIRM_PAUSE_US)
            )
            return
        self.unverified_count += self.accepted_at is not None
        self.write_unverified = self.unverified_count >= _UNVERIFIED_AFTER
        self.limit_due = now + (_RESEND_PAUSE_US if self.write_unverified else 0)
        self.accepted_at = None


def limit_body(target: RedfishTarget) -> bytes:
    """Write the body of the request that sets the limit of `target`."""
    watts = target.target_w or 0
    if target.schema == ENVIRONMENT:
        text = '{"PowerLimitWatts": {"SetPoint": %d, "ControlMode": "Automatic"}}'
    else:
        text = (
            '{"PowerControl": [{"PowerLimit": {"LimitInWatts": %d, '
            '"LimitException": "LogEventOnly"}}]}'
        )
    return (text % watts).encode()


def apply_reading(target: RedfishTarget, reading: "dict[str, Any]") -> None:
    """Store limit, allowed range, power and temperature of a reading; absent values become None."""
    if target.schema == ENVIRONMENT:
        limit = reading.get("PowerLimitWatts") or {}
        target.reported_w = _to_watts(limit.get("SetPoint"))
        target.min_w = _to_watts(limit.get("AllowableMin"))
        target.max_w = _to_watts(limit.get("AllowableMax"))
        target.power_w = _to_watts((reading.get("PowerWatts") or {}).get("Reading"))
        celsius: Any = reading.get("TemperatureCelsius")
        target.case_c = _to_celsius(celsius.get("Reading") if type(celsius) is dict else celsius)
        return
    control = reading["PowerControl"][0]
    limit = control.get("PowerLimit") or {}
    target.reported_w = _to_watts(limit.get("LimitInWatts"))
    target.max_w = _to_watts(control.get("PowerCapacityWatts"))
    target.power_w = _to_watts(control.get("PowerConsumedWatts"))


def _to_watts(value: object) -> "int | None":
    """Return whole watts; None if the value is absent, not a number or out of +-1 GW."""
    if type(value) is float and -1e9 < value < 1e9:
        return round_decimal(value)
    return value if type(value) is int and -(10**9) < value < 10**9 else None


def _to_celsius(value: object) -> "float | None":
    """Return a temperature; None if it is absent, not a number or out of -40 to 200 °C."""
    if (type(value) is int or type(value) is float) and -40 <= value <= 200:
        return float(value)
    return None
