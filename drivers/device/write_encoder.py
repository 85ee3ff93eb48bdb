# SPDX-License-Identifier: Apache-2.0
"""Counts of points to register words, with a check of the limits.

Does not make requests; see `write_request`. Some points are linked: their scale factor or range is
the value of another point of the device. Their raw value follows from the last good reading of
that point.
"""

from drivers.device.number_format import FLOATS, encode
from protocols.errors import EncodeError
from protocols.rounding import divide_rounded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.device.device_interface import LinkedDevice
    from drivers.device.profile import Point


def encode_words(device: "LinkedDevice", point: "Point", count: int) -> "list[int]":
    """Return the words of a count. Raises `EncodeError` if the limits do not permit it."""
    point_name = device.name + "." + point.name
    if point.limits is None:
        raise EncodeError("%s is not to be written" % point_name)
    low, high = point.limits
    raw = raw_value(device, point, count) if type(count) is int else count
    if type(raw) is not int or not low <= raw <= high:
        raise EncodeError("%s %r is not %d to %d" % (point_name, raw, low, high))
    if point.kind in FLOATS and not point.is_linked:
        return encode(point.kind, raw - point.count_offset, point.order, point.step)
    return encode(point.kind, raw, point.order)


def raw_value(device: "LinkedDevice", point: "Point", count: int) -> int:
    """Return the raw value of a count; for a float, the count itself.

    Raises `EncodeError` if a point that it needs has no good reading.
    """
    if point.exponent:
        return _scaled_value(device, point, count)
    if point.top:
        limits = device.range_limits(point)
        if limits is None or limits.high <= limits.low:
            raise EncodeError(
                "%s.%s: the range %s is not known yet" % (device.name, point.name, point.top)
            )
        return divide_rounded(
            (count * limits.denominator - limits.low) * point.full, limits.high - limits.low
        )
    if point.is_float:
        return count
    return divide_rounded(count - point.count_offset, point.count_factor)


def _scaled_value(device: "LinkedDevice", point: "Point", count: int) -> int:
    exponent = device.setting_value(point.exponent)
    if exponent is None:
        raise EncodeError("%s.%s: %s is not known yet" % (device.name, point.name, point.exponent))
    numerator, denominator = point.step[1], point.step[0]
    power = 10 ** abs(exponent.count)
    if exponent.count >= 0:
        return divide_rounded(count * numerator, denominator * power)
    return divide_rounded(count * numerator * power, denominator)
