"""A device's writes: counts of points to requests, range-checked, and whether they are seen.

Not a bus: nothing is sent here. What is outside a limit is refused before there is a request. The
function is the one that fits (5 a coil, 22 a bit, 6 one register, 16 several) unless the profile
says `write_with`: 16 for devices without function 6, 23 to write and read back in one transaction.
"""

from drivers.device.identity import MISMATCH
from drivers.device.number_format import FLOATS, divide_rounded, encode
from protocols.errors import EncodeError
from protocols.modbus.pdu import (
    READ_WRITE,
    WRITE_MULTIPLE,
    mask_write,
    read_write,
    write_coil,
    write_multiple,
    write_single,
)
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.device.device import ModbusDevice
    from drivers.device.profile import Point

    Pairs = list[tuple[int, int]]

_NONE = "none"


def build_write(device: "ModbusDevice", pairs: "Pairs") -> bytes:
    """The one request that writes the pairs; raises `EncodeError`."""
    requests = _build_requests(device, pairs)
    if len(requests) > 1:
        raise EncodeError("%s: registers to write are not side by side" % device.name)
    return requests[0]


def build_writes(device: "ModbusDevice", pairs: "Pairs") -> "list[bytes]":
    """The requests that write the pairs, after those that they need."""
    found: list[bytes] = []
    for i, _ in pairs:
        for name, raw in device.profile.points[i].needs:
            prerequisite = _prerequisite(device, name, raw)
            if prerequisite and prerequisite not in found:
                found.append(prerequisite)
    return found + _build_requests(device, pairs)


def _prerequisite(device: "ModbusDevice", name: str, raw: int) -> bytes:
    """The request that makes what another write needs; empty when it is so already."""
    if device.profile.has_bit(name):
        bit = device.profile.bits[device.profile.bit_index(name)]
        is_set = device.register_value(bit) is not None and device.is_bit_on(name) == bool(raw)
        return b"" if is_set else build_bit_write(device, name, bool(raw))
    pair = (device.point_index(name), raw)
    return b"" if readback_matches(device, [pair]) else _build_requests(device, [pair])[0]


def _build_requests(device: "ModbusDevice", pairs: "Pairs") -> "list[bytes]":
    """One request for each run of registers that lie side by side, in the order of the pairs."""
    if not pairs:
        raise EncodeError("%s: nothing to write" % device.name)
    _check_identity(device)
    runs: list[list[tuple[int, list[int]]]] = []
    found: list[bytes] = []
    for i, count in pairs:
        point = device.profile.points[i]
        words = _encode_words(device, point, count)
        if point.field:
            low, width = point.field
            mask = ((1 << width) - 1) << low
            found.append(mask_write(point.address, 0xFFFF ^ mask, words[0] << low))
            continue
        runs.append([(point.address, words)])
    return found + [_build_request(device, run) for run in _merge_runs(runs)]


def _merge_runs(
    runs: "list[list[tuple[int, list[int]]]]",
) -> "list[list[tuple[int, list[int]]]]":
    """Put runs together whose registers lie side by side, whichever comes first."""
    merged: list[list[tuple[int, list[int]]]] = []
    for run in runs:
        for other in merged:
            if _run_end(other) == run[0][0]:
                other.extend(run)
                break
            if _run_end(run) == other[0][0]:
                other[:] = run + other
                break
        else:
            merged.append(run)
    return merged if len(merged) == len(runs) else _merge_runs(merged)


def _run_end(run: "list[tuple[int, list[int]]]") -> int:
    return run[-1][0] + len(run[-1][1])


def _build_request(device: "ModbusDevice", run: "list[tuple[int, list[int]]]") -> bytes:
    address = run[0][0]
    words = [word for _, part in run for word in part]
    write_function = device.profile.write_with
    if write_function == READ_WRITE:
        return read_write(address, len(words), address, words)
    if len(words) == 1 and write_function != WRITE_MULTIPLE:
        return write_single(address, words[0])
    return write_multiple(address, words)


def _check_identity(device: "ModbusDevice") -> None:
    if device.identity == MISMATCH:
        model = device.profile.model
        raise EncodeError(
            "%s is no %s (%s): no writes" % (device.name, model, device.mismatch_reason)
        )


def _encode_words(device: "ModbusDevice", point: "Point", count: int) -> "list[int]":
    """The words of a value; range-checked."""
    point_name = device.name + "." + point.name
    if point.limits is None:
        raise EncodeError("%s is not to be written" % point_name)
    low, high = point.limits
    raw = _to_raw(device, point, count, point_name) if type(count) is int else count
    if type(raw) is not int or not low <= raw <= high:
        raise EncodeError("%s %r is not %d to %d" % (point_name, raw, low, high))
    if point.kind in FLOATS and not point.is_linked:
        return encode(point.kind, raw - point.add, point.order, point.step)
    return encode(point.kind, raw, point.order)


def _to_raw(device: "ModbusDevice", point: "Point", count: int, point_name: str) -> int:
    """What the device calls a count; the limits of floats are counts."""
    if point.exponent:
        exponent = device.setting_value(point.exponent)
        if exponent is None:
            raise EncodeError("%s: %s is not known yet" % (point_name, point.exponent))
        numerator, denominator = point.step[1], point.step[0]
        power = 10 ** abs(exponent[0])
        if exponent[0] >= 0:
            return divide_rounded(count * numerator, denominator * power)
        return divide_rounded(count * numerator * power, denominator)
    if point.top:
        limits = device.range_limits(point)
        if limits is None or limits[1] <= limits[0]:
            raise EncodeError("%s: the range %s is not known yet" % (point_name, point.top))
        low, high, denominator = limits
        return divide_rounded((count * denominator - low) * point.full, high - low)
    if point.is_float:
        return count
    return divide_rounded(count - point.add, point.mul)


def build_bit_write(device: "ModbusDevice", name: str, on: bool) -> bytes:
    """The request that turns a bit on or off: a coil, by mask, or with the register's other bits.

    The last needs the register to have been read. Raises `EncodeError`, and `ProfileError` for an
    unknown bit.
    """
    bit = device.profile.bits[device.profile.bit_index(name)]
    bit_name = device.name + "." + name
    _check_identity(device)
    value = on != bit.invert
    if bit.write == "coil":
        return write_coil(bit.address, int(value))
    if bit.write == "mask":
        return mask_write(bit.address, 0xFFFF ^ bit.mask, bit.mask if value else 0)
    if bit.write != "register":
        raise EncodeError("%s is not to be written" % bit_name)
    word = device.register_value(bit)
    if word is None:
        raise EncodeError("%s: its register is not known yet" % bit_name)
    return _build_request(device, [(bit.address, [word | bit.mask if value else word & ~bit.mask])])


def ramp_limited(point: "Point", previous: int, target: int, elapsed_us: int) -> int:
    """The count nearest to `target` that `point.ramp` (counts a second) allows from `previous`."""
    if not point.ramp:
        return target
    max_step = point.ramp * elapsed_us // SECOND
    return max(previous - max_step, min(previous + max_step, target))


def watchdog_request(device: "ModbusDevice") -> "tuple[bytes, int] | None":
    """(request, period) of the profile's watchdog."""
    raw = device.profile.watchdog
    if not raw:
        return None
    pdu = build_write(device, [(device.point_index(raw["point"]), raw["value"])])
    return pdu, raw["period_ms"] * MILLISECOND


def readback_matches(device: "ModbusDevice", pairs: "Pairs") -> "bool | None":
    """Whether the latest poll shows the pairs; None while a point was never read."""
    is_same = True
    for i, count in pairs:
        point = device.profile.points[i]
        if point.verify == "none":
            continue
        read_index = i if point.verify == "same" else device.point_index(point.verify)
        reading = device.readings[read_index]
        if reading.quality == _NONE:
            return None
        is_same = is_same and _is_shown(device, point, count, reading.raw)
    return is_same


def _is_shown(device: "ModbusDevice", point: "Point", count: int, read_count: int) -> bool:
    """Whether a count that was written may be seen as `seen`."""
    if abs(read_count - count) <= point.within:
        return True
    if point.is_linked and point.verify == "same":
        point_name = device.name + "." + point.name
        return _to_raw(device, point, count, point_name) == _to_raw(
            device, point, read_count, point_name
        )
    return False
