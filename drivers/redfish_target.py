# SPDX-License-Identifier: Apache-2.0
"""One Redfish resource with a power limit: its values, the body of a limit, the parse of a reading.

Does not send requests; see `drivers.redfish`. Two schemas are supported:

    environment   PATCH .../EnvironmentMetrics {"PowerLimitWatts": {"SetPoint": W, "ControlMode":
                  "Automatic"}}; the range is AllowableMin to AllowableMax, if the service gives it
    power         PATCH .../Power {"PowerControl": [{"PowerLimit": {"LimitInWatts": W, ...}}]}

Source: DMTF DSP2046 (the two schemas).
"""

from protocols.rounding import round_decimal
from protocols.time_units import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ENVIRONMENT, POWER = "environment", "power"


class RedfishTarget:
    """One resource with a power limit, in whole watts.

    `requested_w` is the requested limit, `reported_w` the limit as last read, `min_w` and `max_w`
    the range that the service allows. `power_w` is the power as read at `read_at`.
    `rejected_status` is the HTTP status of the last rejected limit, or 0. `write_unverified`: the
    service still shows another limit after several writes.
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
        self.read_at = 0
        self.rejected_status = 0
        self.write_unverified = False
        self.power_on = True
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
    """Store limit, allowed range and power of a reading; absent values become None."""
    if target.schema == ENVIRONMENT:
        limit = reading.get("PowerLimitWatts") or {}
        target.reported_w = _to_watts(limit.get("SetPoint"))
        target.min_w = _to_watts(limit.get("AllowableMin"))
        target.max_w = _to_watts(limit.get("AllowableMax"))
        target.power_w = _to_watts((reading.get("PowerWatts") or {}).get("Reading"))
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
