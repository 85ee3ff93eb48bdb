# SPDX-License-Identifier: Apache-2.0
"""Configuration keys that a signed message can change by number, one record each.

Does not check or apply a change; see `agent.remote.message.patch` and
`agent.remote.update.live_change`. `agent.config.schema` takes the limits from this table.
`agent.remote` takes the numbers, roles, steps and live attributes. A new key is one more record.

A number never changes its meaning and is never used again. Otherwise an old message could change
the wrong key. A message names a key without a number by its path. Such a key belongs to the
structure (devices, ports, limits). A change of the structure needs two signatures, one of them from
a holder of the role `LIMITS`.

MicroPython unloads this module after loading and after each message.
"""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OPERATE, LIMITS = 1, 2
"""Roles. `OPERATE` can change set-points and tuning. `LIMITS` can change everything else, with a
second signature."""

Tunable = namedtuple(
    "Tunable",
    (
        "number",
        "path",
        "unit",
        "low",
        "high",
        "default",
        "role",
        "step",
        "loop",
        "attribute",
        "live",
    ),
)
"""A key. `unit` is a UCUM code. `low`, `high`, `default` and `step` are integers in 1/1000 of it;
`default` is None for a required key, `step` is the largest change in one message (0: any).
`live`: the running agent applies a change without a restart, to `attribute` of the loop `loop` of
`agent.core.config_records.Config` (empty: of the `Config` itself)."""

# fmt: off
TUNABLES: "tuple[Tunable, ...]" = (
    Tunable(1, "control.supply.setpoint_c", "Cel", 15_000, 45_000, None,
            OPERATE, 5_000, "supply", "setpoint", True),
    Tunable(2, "control.dp.setpoint_kpa", "kPa", 5_000, 400_000, None,
            OPERATE, 50_000, "pressure", "setpoint", True),
    Tunable(3, "control.supply.gain_pct_per_k", "%/K", 100, 50_000, 5_000,
            OPERATE, 10_000, "supply", "gain", True),
    Tunable(4, "control.supply.integral_s", "s", 5_000, 3_600_000, 15_000,
            OPERATE, 600_000, "supply", "integral_s", True),
    Tunable(5, "control.supply.rate_pct_per_s", "%/s", 100, 100_000, 5_000,
            OPERATE, 50_000, "supply", "rate_pct_per_s", True),
    Tunable(6, "control.dp.gain_pct_per_kpa", "%/kPa", 1, 10_000, 200,
            OPERATE, 2_000, "pressure", "gain", True),
    Tunable(7, "control.dp.integral_s", "s", 1_000, 3_600_000, 4_000,
            OPERATE, 600_000, "pressure", "integral_s", True),
    Tunable(8, "control.dp.rate_pct_per_s", "%/s", 100, 100_000, 5_000,
            OPERATE, 50_000, "pressure", "rate_pct_per_s", True),
    Tunable(9, "control.supply.min_pct", "%", 0, 100_000, 5_000,
            LIMITS, 0, "supply", "min_pct", True),
    Tunable(10, "control.supply.max_pct", "%", 0, 100_000, 100_000,
            LIMITS, 0, "supply", "max_pct", True),
    Tunable(11, "control.supply.safe_pct", "%", 0, 100_000, 60_000,
            LIMITS, 0, "supply", "safe_pct", True),
    Tunable(12, "control.dp.min_pct", "%", 10_000, 100_000, 25_000,
            LIMITS, 0, "pressure", "min_pct", True),
    Tunable(13, "control.dp.max_pct", "%", 10_000, 100_000, 100_000,
            LIMITS, 0, "pressure", "max_pct", True),
    Tunable(14, "control.dp.safe_pct", "%", 10_000, 100_000, 80_000,
            LIMITS, 0, "pressure", "safe_pct", True),
    Tunable(15, "limits.supply_max_c", "Cel", 20_000, 60_000, 40_000,
            LIMITS, 0, "", "supply_max_c", True),
    Tunable(16, "limits.stale_s", "s", 2_000, 60_000, 5_000,
            LIMITS, 0, "", "", False),
    Tunable(17, "telemetry.period_ms", "ms", 100_000, 3_600_000_000, 1_000_000,
            OPERATE, 0, "", "", False),
    Tunable(18, "telemetry.queue", "1", 1_000, 10_000_000, 120_000,
            OPERATE, 0, "", "", False),
    Tunable(19, "control.slot_ms", "ms", 0, 999_000, 0,
            LIMITS, 0, "", "", False),
    Tunable(20, "receiver.latency_ms", "ms", 0, 1_000_000, 0,
            LIMITS, 0, "", "", False),
)
# fmt: on
"""All keys with a number."""

_REPLACED = (
    ("control.supply.gain_pct_per_k", "exchanger"),
    ("control.supply.integral_s", "exchanger"),
    ("control.dp.gain_pct_per_kpa", "pumps"),
    ("control.dp.integral_s", "pumps"),
)
"""(path, key of the section `cooling` whose loop has a tuning of its own)."""


def without_effect(path: str, cooling: "dict[str, Any]") -> str:
    """Return why the key `path` has no effect beside the section `cooling`; empty if it has one."""
    for replaced, key in _REPLACED:
        if replaced == path and key in cooling:
            return "%s: has no effect, because cooling.%s replaces this loop" % (path, key)
    return ""
