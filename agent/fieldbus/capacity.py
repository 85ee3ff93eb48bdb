# SPDX-License-Identifier: Apache-2.0
"""Poll plans of the devices, and their wire time compared with the control cycle.

Used while a configuration is loaded; see `agent.config.compiler`. MicroPython then unloads it.
"""

from drivers.modbus.plan.block_planner import plan_time_us
from drivers.modbus.plan.poll_plan import PollPlan
from drivers.ports.address import modbus_framing
from drivers.ports.bus_address import wire_time
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.config_records import Config, DeviceConfig
    from drivers.device.profile import DeviceProfile
    from drivers.modbus.plan.block_planner import PlannedItem
    from drivers.modbus.register_span import ReadBlock
    from drivers.modbus.wire_time import WireTime
    from drivers.ports.address import Address

_STREAM_ROUND_TRIP_US = 2 * MILLISECOND
_TURNAROUND_US = 5 * MILLISECOND
_MAX_READ_US = 90 * MILLISECOND
"""Longest read on a bus with actuators. A stop must reach its device within 100 ms, and slow
devices take a part of this time."""


def wire_for(address: "Address") -> "WireTime":
    """Return the wire time of the bus at `address`."""
    is_stream = modbus_framing(address.kind) == "tcp"
    return wire_time(address, _STREAM_ROUND_TRIP_US if is_stream else _TURNAROUND_US)


def _has_actuators(devices: "list[DeviceConfig]") -> bool:
    """Return whether one of the devices on a bus is a pump, a fan or a valve."""
    profiles = [device.profile for device in devices]
    return True in [bool(profile.pump or profile.valve or profile.fan) for profile in profiles]


def make_poll_plans(
    profile: "DeviceProfile", wire: "WireTime", has_actuators: bool
) -> "tuple[PollPlan, PollPlan]":
    """Plan the fast and the slow points of a device; `has_actuators`: the bus carries stops."""
    fixed = list(profile.fixed_blocks)
    if profile.has_own_blocks:
        fixed.extend(profile.blocks)
    max_block = profile.max_block
    if has_actuators:
        max_block = min(max_block, wire.max_read(3, _MAX_READ_US))
    fast = PollPlan(profile.polled_items("fast"), wire, profile.holes, fixed, max_block)
    slow_points = [item for item in profile.polled_items("slow") if not _inside(item, fast.blocks)]
    return fast, PollPlan(slow_points, wire, profile.holes, fixed, max_block)


def _inside(item: "PlannedItem", blocks: "list[ReadBlock]") -> bool:
    for block in blocks:
        start, end = block.address, item.address + item.registers
        if item.function == block.function and start <= item.address and end <= start + block.count:
            return True
    return False


def bus_plans(config: "Config", device: "DeviceConfig") -> "tuple[PollPlan, PollPlan]":
    """Plan the points of one device of a configuration."""
    same_bus = [other for other in config.devices if other.bus == device.bus]
    wire = wire_for(dict(config.buses)[device.bus])
    return make_poll_plans(device.profile, wire, _has_actuators(same_bus))


def cycle_load_us(address: "Address", devices: "list[DeviceConfig]", cycle_us: int) -> int:
    """Return the wire time of the polls of `devices` in one cycle on one bus, in microseconds.

    Slow points count with the share of their period. The poll plans stay in the device records.
    """
    wire = wire_for(address)
    has_actuators = _has_actuators(devices)
    total = 0
    for device in devices:
        fast, slow = device.poll_plans = make_poll_plans(device.profile, wire, has_actuators)
        total += plan_time_us(fast.blocks, wire)
        slow_us = plan_time_us(slow.blocks, wire)
        total += slow_us * cycle_us // max(cycle_us, device.profile.periods[1])
    return total


def over_capacity(name: str, address: "Address", load_us: int, cycle_us: int) -> str:
    """Return the error if the polls of a bus take longer than a cycle; empty if they fit."""
    if load_us <= cycle_us:
        return ""
    needed = (load_us + 100 * MILLISECOND - 1) // (100 * MILLISECOND) * 100
    speed = "" if modbus_framing(address.kind) == "tcp" else " at %d baud" % address.baud
    return "buses.%s: polling takes %d ms of wire time%s, control.cycle_ms is %d; %s %d" % (
        name,
        (load_us + MILLISECOND - 1) // MILLISECOND,
        speed,
        cycle_us // MILLISECOND,
        "use a faster or a second bus, or at least",
        needed,
    )
