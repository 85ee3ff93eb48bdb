# SPDX-License-Identifier: Apache-2.0
"""Limits of the loads while the component `throttle` is off after an exception.

Uses no reading, no class and no allocator, because one of them may be the cause. The loads get a
cap, or their least power if the protection orders it. The protection can switch them off. A limit
only falls here; after the restart of the component it rises in its usual steps.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.power.limit.load_limits import LoadLimits
    from agent.power.limit.load_shed import LoadShedding
    from agent.power.load import Load

FAULT_PERMILLE = 700


def cap_loads(
    loads: "list[Load]", limits: "LoadLimits", shedding: "LoadShedding", now: int
) -> None:
    """Send the limits; called once a control cycle."""
    limits.expire()
    permille = min(FAULT_PERMILLE, limits.cap_permille)
    if limits.is_active:
        permille = 0
    for load in loads:
        limit_w = max(load.min_w, load.max_w * permille // 1000)
        if load.is_on and load.can_limit and load.limit_w > limit_w:
            load.lower_limit(limit_w, now)
            load.send_limit(now)
    shedding.follow_protection(now)
