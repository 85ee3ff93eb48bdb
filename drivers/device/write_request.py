"""A device's writes: counts of points to requests, range-checked, and whether they are seen.

Not a bus: nothing is sent here. What is outside a limit is refused before there is a request. The
function is the one that fits (5 a coil, 22 a bit, 6 one register, 16 several) unless the profile
says `write_with`: 16 for devices without function 6, 23 to write and read back in one transaction.
"""

from drivers.device.identity import MISMATCH
from drivers.device.number_format import FLOATS, encode, nearest
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
    from drivers.device.device import Device
    from drivers.device.profile import Point

    Pairs = list[tuple[int, int]]

_NONE = "none"


def write(device: "Device", pairs: "Pairs") -> bytes:
    """The one request that writes the pairs; raises `EncodeError`."""
    runs = _runs(device, pairs)
    if len(runs) > 1:
        raise EncodeError("%s: registers to write are not side by side" % device.name)
    return runs[0]


def writes(device: "Device", pairs: "Pairs") -> "list[bytes]":
    """The requests that write the pairs, after those that they need."""
    found: list[bytes] = []
    for i, _ in pairs:
        for name, raw in device.profile.points[i].needs:
            first = _needed(device, name, raw)
            if first and first not in found:
                found.append(first)
    return found + _runs(device, pairs)


def _needed(device: "Device", name: str, raw: int) -> bytes:
    """The request that makes what another write needs; empty when it is so already."""
    if device.profile.has_bit(name):
        bit = device.profile.bits[device.profile.bit_index(name)]
        known = device.register(bit) is not None and device.bit(name) == bool(raw)
        return b"" if known else write_bit(device, name, bool(raw))
    pair = (device.index(name), raw)
    return b"" if readback(device, [pair]) else _runs(device, [pair])[0]


def _runs(device: "Device", pairs: "Pairs") -> "list[bytes]":
    """One request for each run of registers that lie side by side, in the order of the pairs."""
    if not pairs:
        raise EncodeError("%s: nothing to write" % device.name)
    _refuse_stranger(device)
    runs: list[list[tuple[int, list[int]]]] = []
    found: list[bytes] = []
    for i, count in pairs:
        point = device.profile.points[i]
        words = _words(device, point, count)
        if point.field:
            low, width = point.field
            mask = ((1 << width) - 1) << low
            found.append(mask_write(point.address, 0xFFFF ^ mask, words[0] << low))
            continue
        runs.append([(point.address, words)])
    return found + [_request(device, run) for run in _joined(runs)]


def _joined(
    runs: "list[list[tuple[int, list[int]]]]",
) -> "list[list[tuple[int, list[int]]]]":
    """Put runs together whose registers lie side by side, whichever comes first."""
    joined: list[list[tuple[int, list[int]]]] = []
    for run in runs:
        for other in joined:
            if _end(other) == run[0][0]:
                other.extend(run)
                break
            if _end(run) == other[0][0]:
                other[:] = run + other
                break
        else:
            joined.append(run)
    return joined if len(joined) == len(runs) else _joined(joined)


def _end(run: "list[tuple[int, list[int]]]") -> int:
    return run[-1][0] + len(run[-1][1])


def _request(device: "Device", run: "list[tuple[int, list[int]]]") -> bytes:
    address = run[0][0]
    words = [word for _, part in run for word in part]
    how = device.profile.write_with
    if how == READ_WRITE:
        return read_write(address, len(words), address, words)
    if len(words) == 1 and how != WRITE_MULTIPLE:
        return write_single(address, words[0])
    return write_multiple(address, words)


def _refuse_stranger(device: "Device") -> None:
    if device.identity == MISMATCH:
        model = device.profile.model
        raise EncodeError("%s is no %s (%s): no writes" % (device.name, model, device.mismatch))


def _words(device: "Device", point: "Point", count: int) -> "list[int]":
    """The words of a value; range-checked."""
    where = device.name + "." + point.name
    if point.limits is None:
        raise EncodeError("%s is not to be written" % where)
    low, high = point.limits
    raw = _raw(device, point, count, where) if type(count) is int else count
    if type(raw) is not int or not low <= raw <= high:
        raise EncodeError("%s %r is not %d to %d" % (where, raw, low, high))
    if point.kind in FLOATS and not point.linked:
        return encode(point.kind, raw - point.add, point.order, point.step)
    return encode(point.kind, raw, point.order)


def _raw(device: "Device", point: "Point", count: int, where: str) -> int:
    """What the device calls a count; the limits of floats are counts."""
    if point.exponent:
        exponent = device.setting(point.exponent)
        if exponent is None:
            raise EncodeError("%s: %s is not known yet" % (where, point.exponent))
        top, bottom = point.step[1], point.step[0]
        power = 10 ** abs(exponent[0])
        if exponent[0] >= 0:
            return nearest(count * top, bottom * power)
        return nearest(count * top * power, bottom)
    if point.top:
        ends = device.ends(point)
        if ends is None or ends[1] <= ends[0]:
            raise EncodeError("%s: the range %s is not known yet" % (where, point.top))
        low, high, bottom = ends
        return nearest((count * bottom - low) * point.full, high - low)
    if point.stepped:
        return count
    return nearest(count - point.add, point.mul)


def write_bit(device: "Device", name: str, on: bool) -> bytes:
    """The request that turns a bit on or off: a coil, by mask, or with the register's other bits.

    The last needs the register to have been read. Raises `EncodeError`, and `ProfileError` for an
    unknown bit.
    """
    bit = device.profile.bits[device.profile.bit_index(name)]
    where = device.name + "." + name
    _refuse_stranger(device)
    value = on != bit.invert
    if bit.write == "coil":
        return write_coil(bit.address, int(value))
    if bit.write == "mask":
        return mask_write(bit.address, 0xFFFF ^ bit.mask, bit.mask if value else 0)
    if bit.write != "register":
        raise EncodeError("%s is not to be written" % where)
    word = device.register(bit)
    if word is None:
        raise EncodeError("%s: its register is not known yet" % where)
    return _request(device, [(bit.address, [word | bit.mask if value else word & ~bit.mask])])


def ramped(point: "Point", last: int, wanted: int, elapsed_us: int) -> int:
    """The count nearest to `wanted` that `point.ramp` (counts a second) allows from `last`."""
    if not point.ramp:
        return wanted
    most = point.ramp * elapsed_us // SECOND
    return max(last - most, min(last + most, wanted))


def watchdog(device: "Device") -> "tuple[bytes, int] | None":
    """(request, period) of the profile's watchdog."""
    raw = device.profile.watchdog
    if not raw:
        return None
    pdu = write(device, [(device.index(raw["point"]), raw["value"])])
    return pdu, raw["period_ms"] * MILLISECOND


def readback(device: "Device", pairs: "Pairs") -> "bool | None":
    """Whether the latest poll shows the pairs; None while a point was never read."""
    same = True
    for i, count in pairs:
        point = device.profile.points[i]
        if point.verify == "none":
            continue
        seen = i if point.verify == "same" else device.index(point.verify)
        reading = device.readings[seen]
        if reading.quality == _NONE:
            return None
        same = same and _close(device, point, count, reading.raw)
    return same


def _close(device: "Device", point: "Point", count: int, seen: int) -> bool:
    """Whether a count that was written may be seen as `seen`."""
    if abs(seen - count) <= point.within:
        return True
    if point.linked and point.verify == "same":
        where = device.name + "." + point.name
        return _raw(device, point, count, where) == _raw(device, point, seen, where)
    return False
