"""The numbers under which messages name what may be changed, who may, and by how much at a time.

A number never changes its meaning and is never used again: an old message must not come to mean
something new. What has no number is named by its path and counts as structure (devices, ports,
limits), for which two signatures are needed, one of them by a holder of the role `limits`.

The range of a value is not here: `agent.core.config_records.load` checks the whole changed
configuration, as it would a file.
"""

from protocols.cbor import Decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OPERATE, LIMITS = 1, 2
"""Roles: may change set-points and tuning; may change everything else (with a second signature)."""

PARAMETERS = (
    (1, "control.supply.setpoint_c", OPERATE, 5),
    (2, "control.dp.setpoint_kpa", OPERATE, 50),
    (3, "control.supply.gain_pct_per_k", OPERATE, 10),
    (4, "control.supply.integral_s", OPERATE, 600),
    (5, "control.supply.rate_pct_per_s", OPERATE, 50),
    (6, "control.dp.gain_pct_per_kpa", OPERATE, 2),
    (7, "control.dp.integral_s", OPERATE, 600),
    (8, "control.dp.rate_pct_per_s", OPERATE, 50),
    (9, "control.supply.min_pct", LIMITS, 0),
    (10, "control.supply.max_pct", LIMITS, 0),
    (11, "control.supply.safe_pct", LIMITS, 0),
    (12, "control.dp.min_pct", LIMITS, 0),
    (13, "control.dp.max_pct", LIMITS, 0),
    (14, "control.dp.safe_pct", LIMITS, 0),
    (15, "limits.supply_max_c", LIMITS, 0),
    (16, "limits.stale_s", LIMITS, 0),
    (17, "telemetry.period_ms", OPERATE, 0),
    (18, "telemetry.queue", OPERATE, 0),
    (19, "control.slot_ms", LIMITS, 0),
    (20, "receiver.latency_ms", LIMITS, 0),
)
"""Number, path, role, largest step of one message in the parameter's unit (0: any)."""

_UNNUMBERED = (LIMITS, 0)


def path_of(key: "Any") -> "str | None":
    """Give the path that `key` (a number or a path) names; None for an unknown number."""
    if isinstance(key, str):
        return key
    for number, path, _, _ in PARAMETERS:
        if number == key:
            return path
    return None


def number_of(path: str) -> "int | None":
    """Give the number of `path`, None when it has none."""
    for number, name, _, _ in PARAMETERS:
        if name == path:
            return number
    return None


def rule_of(path: str) -> "tuple[int, int]":
    """Give who may change `path`, and the largest step (0: any)."""
    for _, name, role, step in PARAMETERS:
        if name == path:
            return role, step
    return _UNNUMBERED


LIVE_NUMBERS = tuple(range(1, 16))
"""Numbers of what the running agent takes over; anything else needs a restart."""


def is_live(path: str) -> bool:
    """Say whether a change of `path` needs no restart."""
    return number_of(path) in LIVE_NUMBERS


def to_nano(value: "int | Decimal") -> int:
    """Give a number in 1e-9, to compare exactly."""
    if isinstance(value, Decimal):
        return value.mantissa * int(10 ** (9 - value.places))
    return value * 10**9
