# SPDX-License-Identifier: Apache-2.0
"""Registers that agree with the display of a point as well as its own register does.

Does not ask and does not judge; see `hil.tools.commission.findings`. A gauge or a display proves
the address of a point only if no other register of the device would show the same. Another one
does so if its raw word, read with the scale of the point, is about the value of the display (the
addresses of two rows are exchanged), or if its own number is about this value, in whatever unit
(the names of two rows are exchanged).
"""

from drivers.device.device import GOOD
from drivers.device.profile import Bit, Point
from hil.tools.commission.device_access import DeviceAccess, Place
from hil.tools.commission.inputs.row_roles import DISPLAYED, GAUGED

_KINDS = ("u16", "i16")
_SIGN = 0x8000


def find_look_alikes(
    access: DeviceAccess, name: str, shown: float, tolerance: float, writable: list[Place]
) -> list[str]:
    """Return the registers of the last poll that agree with what the display of a point shows.

    For an output: the other outputs, and all registers that can be written. For a measured point:
    the other measured ones; both must agree with the other register.
    """
    profile = access.profile
    index = access.device.point_index(name)
    point = profile.points[index]
    found = []
    for i, other in enumerate(profile.points):
        where = (other.function, other.address)
        is_output = other.limits is not None or where in writable or other.name in DISPLAYED
        is_candidate = other.name in GAUGED if name in GAUGED else is_output
        if i == index or not is_candidate:
            continue
        is_like = _agrees(access, point, i, shown, tolerance)
        if is_like and name in GAUGED:
            own = access.device.value(i)
            is_like = _agrees(access, other, index, own, max(tolerance, abs(own) * 0.05))
        found += [other.name] if is_like else []
    if name in GAUGED:
        return found
    points = {(other.function, other.address) for other in profile.points}
    at = (point.function, point.address)
    return found + [
        f"register {address}"
        for function, address in writable
        if (function, address) not in {*points, at}
        and _is_near(_read(access, point, function, address), shown, tolerance)
    ]


def _agrees(access: DeviceAccess, point: Point, other: int, shown: float, tolerance: float) -> bool:
    """Return whether another point agrees with what the display of `point` shows."""
    found = access.profile.points[other]
    number = access.device.value(other) if access.device.readings[other].quality == GOOD else None
    if _is_near(number, shown, tolerance):
        return True
    if point.registers == found.registers > 1:
        index = access.device.point_index(point.name)
        words = access.polled_words(found)
        return bool(words) and words == access.polled_words(access.profile.points[index])
    if found.registers > 1:
        return False
    return _is_near(_read(access, point, found.function, found.address), shown, tolerance)


def _read(access: DeviceAccess, point: Point, function: int, address: int) -> float | None:
    """Return a register, read as `point` is; None: it is not known, or `point` has several."""
    if point.kind not in _KINDS or point.registers > 1:
        return None
    register = {"name": "", "function": function, "address": address, "mask": 0xFFFF}
    word = access.device.register_value(Bit(register))
    if word is None:
        return None
    count = word - 2 * (word & _SIGN) if point.kind == "i16" else word
    return count * point.numerator / point.denominator


def _is_near(value: float | None, shown: float, tolerance: float) -> bool:
    return value is not None and abs(value - shown) <= tolerance
