# SPDX-License-Identifier: Apache-2.0
"""A device of the diagnostic commands: quick also for a profile with thousands of points.

Does not send requests. The agent uses `ModbusDevice` without an index: its devices have few blocks,
and an index of each register would take memory of a board.
"""

from drivers.device.device import ModbusDevice
from drivers.modbus.plan.poll_plan import PollPlan
from drivers.modbus.register_span import ReadBlock, overlaps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.device.profile import Bit, DeviceProfile, Point
    from drivers.modbus.wire_time import WireTime


class BlockIndex:
    """The block of each register. It is made again for another list of blocks."""

    def __init__(self) -> None:
        self._blocks: list[ReadBlock] = []
        self._numbers: dict[tuple[int, int], list[int]] = {}

    def find(
        self, blocks: "list[ReadBlock]", function: int, address: int, registers: int
    ) -> "tuple[int, int]":
        """The same as `search_block`."""
        if blocks is not self._blocks:
            self._build(blocks)
        for number in self._numbers.get((function, address), ()):
            block = blocks[number]
            if address + registers <= block.address + block.count:
                return number, address - block.address
        return -1, 0

    def _build(self, blocks: "list[ReadBlock]") -> None:
        self._blocks, self._numbers = blocks, {}
        for number, block in enumerate(blocks):
            for address in range(block.address, block.address + block.count):
                self._numbers.setdefault((block.function, address), []).append(number)


def make_device(
    name: str, unit: int, profile: "DeviceProfile", blocks: "list[ReadBlock] | None" = None
) -> ModbusDevice:
    """Return a device that finds the block of a register in an index, not by a search."""
    return ModbusDevice(name, unit, profile, blocks, BlockIndex().find)


def make_plan(profile: "DeviceProfile", wire: "WireTime") -> PollPlan:
    """Return the plan of the reads of all points, as in the agent: also through gaps."""
    fixed = profile.fixed_blocks + (profile.blocks if profile.has_own_blocks else [])
    return PollPlan(profile.polled_items(), wire, profile.holes, fixed, profile.max_block)


def needed_blocks(profile: "DeviceProfile", name: str) -> "list[ReadBlock]":
    """Return the blocks of the profile that the value and a write of a point or bit need.

    A point can need others: its scale factor or range, its prerequisites, the point that shows a
    write.
    """
    names, spans = [name], []
    for needed in names:  # grows meanwhile
        item = _item(profile, needed)
        spans.append(ReadBlock(item.function, item.address, item.registers))
        names += [other for other in _links(profile, needed) if other not in names]
    return [block for block in profile.blocks if any(overlaps(block, span) for span in spans)]


def _item(profile: "DeviceProfile", name: str) -> "Point | Bit":
    if profile.has_point(name):
        return profile.points[profile.point_index(name)]
    return profile.bits[profile.bit_index(name)]


def _links(profile: "DeviceProfile", name: str) -> "list[str]":
    if not profile.has_point(name):
        return []
    point = profile.points[profile.point_index(name)]
    links = [point.exponent, point.bottom, point.top, *(need[0] for need in point.needs)]
    if point.verify not in ("same", "none"):
        links.append(point.verify)
    return [link for link in links if link]
