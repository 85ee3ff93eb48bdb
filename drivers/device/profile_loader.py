# SPDX-License-Identifier: Apache-2.0
"""Loading of a device profile: attributes of points, blocks of registers, selection of entries.

Does not check a profile; see `drivers.device.profile_check`. MicroPython unloads this module after
loading; see `drivers.device.profile.unload_checker`.
"""

from drivers.device import profile_entries as entries
from drivers.device.number_format import ByteOrder
from drivers.device.number_types import compile_order
from drivers.modbus.register_span import ReadBlock, is_within
from protocols.modbus.pdu import BIT_READS, MAX_READ, MAX_READ_BITS
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from drivers.modbus.plan.block_planner import PlannedItem

    Raw = dict[str, Any]

_COMMON_ORDERS = {compile_order("", count): compile_order("", count) for count in (2, 4)}
"""All points share the objects of the usual orders."""

_ONE_REGISTER = ByteOrder((0,), False)


def profile_fields(raw: "Raw", include_unpolled: bool, base_address: "int | None") -> "Raw":
    """Return the attributes of a `DeviceProfile`, without its entries."""
    scan, periods = raw.get("scan", {}), raw.get("periods", {})
    base = scan.get("usual", 0) if base_address is None else base_address
    blocks = [] if include_unpolled else read_blocks(raw, "blocks", base)
    return {
        "title": raw["title"],
        "source": raw["source"],
        "met_hardware": raw["met_hardware"],
        "scan": scan,
        "base_address": base,
        "identity": raw.get("identity", []),
        "watchdog": raw.get("watchdog", {}),
        "write_with": raw.get("write_with", 0),
        "pump": _drive_role(raw.get("pump")),
        "valve": _actuator_role(raw.get("valve")),
        "fan": _drive_role(raw.get("fan")),
        "cdu": raw.get("cdu", {}),
        "periods": (
            periods.get("fast", 1000) * MILLISECOND,
            periods.get("slow", 10_000) * MILLISECOND,
        ),
        "max_block": raw.get("max_block", MAX_READ),
        "holes": read_blocks(raw, "holes", base),
        "fixed_blocks": read_blocks(raw, "fixed_blocks", base),
        "blocks": blocks,
        "has_own_blocks": bool(blocks),
    }


def _actuator_role(role: "Raw | None") -> "Raw":
    """Return a role with its defaults; an actuator without feedback shows its set-point."""
    if not role:
        return {}
    return dict(role, feedback=role.get("feedback", role["setpoint"]))


def _drive_role(role: "Raw | None") -> "Raw":
    """Return the role of a drive with its defaults: the speed 0 stops a drive without commands."""
    fields = _actuator_role(role)
    if fields:
        for key, default in (("run", []), ("stop", []), ("trip", "")):
            fields.setdefault(key, default)
    return fields


def entry_fields(raw: "Raw", include_unpolled: bool, base_address: int) -> "list[Iterator[Raw]]":
    """Return the needed points, bits and texts of a profile."""
    names = entries.referenced_names(raw)
    return [
        needed_entries(items, include_unpolled, base_address, names)
        for items in (entries.iter_points(raw), entries.iter_bits(raw), entries.iter_texts(raw))
    ]


def point_values(fields: "Raw") -> "Raw":
    """Return the attributes of a `Point` that differ from those of the class."""
    values: Raw = {key: fields[key] for key in ("name", "function", "address")}
    registers = entries.register_count(fields)
    if registers != 1:
        values["registers"] = registers
    if fields["type"] != "u16":
        values["kind"] = fields["type"]
    order = compile_order(fields.get("order", ""), registers)
    if order != _ONE_REGISTER:
        values["order"] = _COMMON_ORDERS.get(order, order)
    for key in ("poll", "unit", "verify", "within", "ramp", "bcd", "exponent", "full"):
        if key in fields:
            values[key] = fields[key]
    for key in ("none", "weights", "field", "limits"):
        if key in fields:
            values[key] = tuple(fields[key])
    if "needs" in fields:
        values["needs"] = [(name, raw) for name, raw in fields["needs"]]
    if "range" in fields:
        values["bottom"], values["top"] = fields["range"]
    if not fields.get("read", True):
        values["poll"] = "never"
    _set_scale(values, fields)
    _set_bounds(values, fields)
    return values


def _set_scale(values: "Raw", fields: "Raw") -> None:
    """Set the conversions: raw value to count (an integer), and count to the unit of the point."""
    numerator, denominator = fields.get("scale", (1, 1))
    shift = fields.get("offset", (0, 1))
    if "step" in fields:
        step_numerator, step_denominator = fields["step"]
        values["numerator"], values["denominator"] = step_numerator, step_denominator
        values["step"] = _reduce(numerator * step_denominator, denominator * step_numerator)
        if shift[0]:
            values["count_offset"] = shift[0] * step_denominator // (shift[1] * step_numerator)
        return
    denominator <<= fields.get("fraction", 0)
    if shift[0]:
        # value = (raw + shift / scale) * scale; a finer count if the sum is not an integer
        values["count_offset"], values["count_factor"] = _reduce(
            shift[0] * denominator, shift[1] * numerator
        )
        denominator *= values["count_factor"]
    if (numerator, denominator) != (1, 1):
        values["numerator"], values["denominator"] = numerator, denominator


def _reduce(numerator: int, denominator: int) -> "tuple[int, int]":
    """Return the fraction in lowest terms, with a denominator above 0."""
    divisor, remainder = abs(numerator), abs(denominator)
    while remainder:
        divisor, remainder = remainder, divisor % remainder
    if denominator < 0:
        divisor = -divisor
    return numerator // divisor, denominator // divisor


def _set_bounds(values: "Raw", fields: "Raw") -> None:
    """Set the plausible range. It excludes a "no value" at its end, which saves a check."""
    low, high = entries.raw_range(fields)
    low, high = fields.get("min", low), fields.get("max", high)
    none = values.get("none", ())
    while low in none:
        low += 1
    while high in none:
        high -= 1
    values["low"], values["high"] = low, high
    if none:
        values["none"] = tuple([value for value in none if low <= value <= high])


def needed_entries(
    items: "Iterator[Raw]", include_unpolled: bool, base_address: int, referenced: "set[str]"
) -> "Iterator[Raw]":
    """Yield the entries that a profile needs, with addresses moved by `base_address`."""
    for fields in items:
        fields["address"] += base_address
        is_polled = fields.get("poll", "fast") != "never"
        if include_unpolled and not is_polled:
            fields["poll"] = "slow"
        if (
            include_unpolled
            or is_polled
            or not fields.get("read", True)
            or fields["name"] in referenced
        ):
            yield fields


def read_blocks(raw: "Raw", key: str, base_address: int) -> "list[ReadBlock]":
    """Return the blocks in the list `key` of a profile, as on the wire."""
    blocks = []
    for span in raw.get(key, []):
        wire = entries.wire_address(
            span["address"], raw.get("notation", "base0"), span.get("function")
        )
        if wire is not None:
            blocks.append(ReadBlock(wire.function, wire.address + base_address, span["count"]))
    return blocks


def adjacent_blocks(
    items: "Sequence[PlannedItem]", fixed_blocks: "list[ReadBlock]", max_block: int
) -> "list[ReadBlock]":
    """Return the blocks that read all items. `max_block` is in registers."""
    blocks: list[ReadBlock] = []
    previous = ReadBlock(0, 0, 0)
    for span in sorted({ReadBlock(i.function, i.address, i.registers) for i in items}):
        fixed = [block for block in fixed_blocks if is_within(span, block)]
        if fixed and fixed[0] in blocks:
            continue
        max_length = MAX_READ_BITS if span.function in BIT_READS else max_block
        merged = None if previous in fixed_blocks else _merge_blocks(previous, span, max_length)
        if merged and not fixed:
            blocks.pop()
        previous = fixed[0] if fixed else merged or span
        blocks.append(previous)
    return blocks


def _merge_blocks(previous: "ReadBlock", span: "ReadBlock", max_length: int) -> "ReadBlock | None":
    """Return a block and an adjacent span as one block; None if they must stay apart."""
    start = previous.address
    end = max(start + previous.count, span.address + span.count)
    is_adjacent = (
        span.function == previous.function
        and span.address <= start + previous.count
        and end - start <= max_length
    )
    return ReadBlock(span.function, start, end - start) if is_adjacent else None
