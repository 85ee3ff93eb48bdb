# SPDX-License-Identifier: Apache-2.0
"""Service `load_limits`: orders of the protection to the loads.

Does not send limits and does not decide when loads are in danger; see `agent.power.component` and
`agent.safety.protection`. An order is valid for a little more than one control cycle, like a claim.
If its owner does not renew it, it ends. `is_new`: an order has just begun, and must not wait for
the next cycle. `has_shut_branch`: a device that is only warm is limited too. `is_branch_shut`: it
is certain, so a device whose temperature is not read any more counts as hot. In the other
direction, `devices_warm` tells the protection what the device temperatures show,
`is_flow_needed` that one of them is hot behind a shut branch, and `load_w` what the loads draw.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.context import Context
    from agent.power.detector.device_heat import DeviceHeat
    from agent.power.load import Load


class LoadLimits:
    """The orders to `loads`. A reason is empty while there is no such order."""

    def __init__(self, agent: "Context", loads: "list[Load]") -> None:
        self._agent, self._loads = agent, loads
        self.limit_reason = self.shed_reason = ""
        self.cap_permille = 1000
        self.is_new = False
        self.devices_warm: bool | None = None
        self.load_w = sum([load.max_w for load in loads])
        self.has_shut_branch = self.is_branch_shut = self.is_flow_needed = False
        self.is_flow_little = self.is_flow_seen = self.devices_cool = False
        self._ignores_limit = self._ignores_off = False
        self._valid_until = [0, 0, 0]
        self._was_cold_needed, self._noted_at = False, -2

    def limit_all(self, reason: str) -> None:
        """Limit all loads to their least power."""
        self.is_new = self.is_new or not self.limit_reason
        self.limit_reason = reason
        self._renew(0)

    def shed_all(self, reason: str) -> None:
        """Switch all loads off immediately."""
        self.is_new = self.is_new or not self.shed_reason
        self.shed_reason = reason
        self._renew(1)

    def cap(self, permille: int, reason: str) -> None:
        """Limit the loads to a part of their rated power."""
        self.is_new = self.is_new or permille < self.cap_permille
        self.cap_permille = permille
        self._renew(2)

    def _renew(self, order: int) -> None:
        ticks = self._agent.ticks
        self._valid_until[order] = ticks.count + ticks.per_cycle + ticks.per_cycle // 2

    def report_warm(self, devices_warm: "bool | None", devices_cool: bool = False) -> None:
        """Record whether all device temperatures are too high, None: none is known; and whether all
        show that their load needs no limit.
        """
        self.devices_warm, self.devices_cool = devices_warm, devices_cool

    def report_power(self, load_w: int) -> None:
        """Record the power of all loads, W: measured, or at most this."""
        self.load_w = load_w

    def report_shut_branch(
        self, may_be_shut: bool, is_shut: bool, is_flow_little: bool = False
    ) -> None:
        """Record whether the resistance of the row is higher, so that a branch may be shut,
        whether it is certain, and whether the flow meter shows less than the full power needs.
        """
        self.is_flow_little = is_flow_little
        self.has_shut_branch, self.is_branch_shut = may_be_shut, is_shut
        if not is_shut:
            self.is_flow_needed = False
        elif True in [load.is_hot for load in self._loads]:
            self.is_flow_needed = True

    def report_flow_seen(self, is_flow_seen: bool) -> None:
        """Record whether flow and pressure are both read, and as usual."""
        self.is_flow_seen = is_flow_seen

    def report_ignored(self, ignores_limit: bool, ignores_off: bool) -> None:
        """Record whether a load draws more than its limit, or draws power after its switch-off."""
        self._ignores_limit, self._ignores_off = ignores_limit, ignores_off

    @property
    def is_cold_needed(self) -> bool:
        """True while a load draws more power than an order permits, or is hot behind a shut
        branch: a colder supply helps. It is the state of the last tick, so the order in which the
        components give orders and ask has no effect.
        """
        is_noted = self._agent.ticks.count - self._noted_at <= 1
        return self._was_cold_needed if is_noted else self._needs_cold()

    def _needs_cold(self) -> bool:
        is_limited = self.is_active or self.cap_permille < 1000
        is_ignored = self._ignores_off or (self._ignores_limit and is_limited)
        return is_ignored or self.is_flow_needed

    def expire(self) -> None:
        """End the orders that were not renewed. Called first in each tick."""
        count = self._agent.ticks.count
        self._was_cold_needed, self._noted_at = self._needs_cold(), count
        limit, shed, cap = self._valid_until
        if count > limit:
            self.limit_reason = ""
        if count > shed:
            self.shed_reason = ""
        if count > cap:
            self.cap_permille = 1000

    def take_new(self) -> bool:
        """Return whether an order has begun since the last call."""
        is_new, self.is_new = self.is_new, False
        return is_new

    @property
    def is_active(self) -> bool:
        """True while an order forbids to raise a limit or to switch a load on."""
        return bool(self.limit_reason or self.shed_reason)

    def proven_off(self) -> bool:
        """Return whether all loads have drawn less than 5 % of their rating since the order."""
        return False not in [not load.is_on and load.is_proven_off for load in self._loads]


def all_warm(devices: "list[DeviceHeat]") -> "bool | None":
    """Return whether all measured devices show a loss of flow; None: none is measured."""
    found = [device.shows_loss for device in devices if device.shows_loss is not None]
    return False not in found if found else None
