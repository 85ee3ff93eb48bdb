# SPDX-License-Identifier: Apache-2.0
"""The value of a point in its unit, exact: text to count, count to number, number to text.

Does not encode registers; see `drivers.device.write_encoder`. A float has 53 bits. So the counts of
64 bits are computed with integers and fractions.
"""

import math
from fractions import Fraction

from drivers.device.number_format import FLOATS
from drivers.device.profile import NEVER
from drivers.tools.lib.arguments import UsageError, plain
from drivers.tools.lib.values.register_values import format_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.device.device import ModbusDevice
    from drivers.device.profile import DeviceProfile, Point

    Number = Fraction | float

_MOST, _LEAST = 1e30, 1e-30  # beyond them a fraction has many digits, and no point has the value
_EXACT = 1 << 53


def find_point(profile: "DeviceProfile", name: str) -> int:
    """Return the index of a point by its name or wire address. Raises `UsageError`."""
    if name.isdecimal():
        found = [i for i, p in enumerate(profile.points) if p.address == int(name) and p.limits]
        if not found:
            raise UsageError("%s: no point at address %s can be written" % (profile.model, name))
        return found[0]
    if not profile.has_point(name):
        raise UsageError("%s: no point or bit is named %s" % (profile.model, name))
    return profile.point_index(name)


def parse_value(text: str, point: "Point") -> "Number":
    """Return a number that the profile permits for the point. Raises `UsageError`."""
    number: Number
    try:
        number = value = float(plain(text))
    except ValueError:
        raise UsageError("value %r of %s is not a number" % (text, point.name))
    if abs(value) < _MOST:
        number = Fraction(text.strip()) if abs(value) > _LEAST else Fraction(0)
    _check_limits(point, number)
    if not math.isfinite(value):
        raise UsageError("value %r of %s is not a number" % (text, point.name))
    return number


def _check_limits(point: "Point", number: "Number") -> None:
    """Check the limits in the unit of the point. Raises `UsageError`."""
    if point.limits is None:
        raise UsageError("%s is read-only" % point.name)
    if point.is_linked:  # its limits are raw values of the device, which are not known yet
        return
    low, high = sorted(convert_limit(point, limit) for limit in point.limits)
    slack = abs(Fraction(point.numerator, point.denominator)) / 2
    slack = Fraction(0) if point.kind in FLOATS else slack
    if not low - slack < number < high + slack and not low <= number <= high:
        unit = "" if point.unit == "1" else " " + point.unit
        shown = [format_value(_plain_number(value)) for value in (number, low, high)]
        details = (point.name, shown[0], unit, shown[1], shown[2], unit)
        raise UsageError("%s %s%s is not %s to %s%s" % details)


def convert_limit(point: "Point", limit: int) -> Fraction:
    """Return a limit in the unit of the point. The limits of a float are counts."""
    count = limit if point.kind in FLOATS else limit * point.count_factor + point.count_offset
    return Fraction(count * point.numerator, point.denominator)


def nearest_count(point: "Point", number: "Number") -> int:
    """Return the count nearest to a number in the unit of the point; halves away from zero."""
    exact = Fraction(number) * point.denominator / point.numerator
    whole = math.floor(abs(exact) + Fraction(1, 2))
    return whole if exact >= 0 else -whole


def value_of(point: "Point", count: int) -> "int | float":
    """Return the number of a count: an integer where a float is not exact."""
    return _plain_number(Fraction(count * point.numerator, point.denominator))


def reading_value(device: "ModbusDevice", index: int) -> "int | float":
    """Return the last reading of a point, as `value_of`."""
    return value_of(device.profile.points[index], device.readings[index].raw)


def is_write_only(point: "Point") -> bool:
    """Return whether the registers of a point say nothing about it: `read` false."""
    return point.poll == NEVER and point.limits is not None and point.verify != "same"


def _plain_number(value: "Number") -> "int | float":
    if isinstance(value, Fraction) and value.denominator == 1 and abs(value) > _EXACT:
        return int(value)
    return float(value)
