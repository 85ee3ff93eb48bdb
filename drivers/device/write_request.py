# SPDX-License-Identifier: Apache-2.0
"""Write requests of a device, and the check that the latest poll shows the written values.

Does not send requests; see `drivers.modbus.bus`. A value outside its limits gives no request. The
function code is the usual one: 5 for a coil, 22 for a bit, 6 for one register, 16 for several. The
profile can name another one in `write_with`: 16 for devices without function 6, 23 for a write and
read in one transaction.
"""

from drivers.device.identity import MISMATCH
from drivers.device.write_encoder import encode_words, raw_value
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
    from drivers.device.device_interface import WritableDevice
    from drivers.device.profile import Point

    Pairs = list[tuple[int, int]]

_NEVER_READ = "none"


class _RegisterRun:
    """Words for registers that are side by side, from `address` on."""

    def __init__(self, address: int, words: "list[int]") -> None:
        self.address = address
        self.words = words

    def holds(self, address: int) -> bool:
        """Return whether the run writes this register."""
        return self.address <= address < self.address + len(self.words)

    def merge(self, other: "_RegisterRun") -> bool:
        """Take in a run that begins where this one ends, or ends where this one begins."""
        if self.address + len(self.words) == other.address:
            self.words = self.words + other.words
        elif other.address + len(other.words) == self.address:
            self.address = other.address
            self.words = other.words + self.words
        else:
            return False
        return True


def build_write(device: "WritableDevice", pairs: "Pairs") -> bytes:
    """Return the single request that writes (point index, count) pairs. Raises `EncodeError`."""
    requests = _build_requests(device, pairs)
    if len(requests) > 1:
        raise EncodeError("%s: registers to write are not side by side" % device.name)
    return requests[0]


def build_writes(device: "WritableDevice", pairs: "Pairs") -> "list[bytes]":
    """Return the requests that write the pairs, after their prerequisites.

    If the pairs write the register of a prerequisite, not later than its point, they decide it. A
    stop that has the register of a remote bit would else begin with the old run command.
    """
    found: list[bytes] = []
    runs = _find_runs(device, pairs)
    for i, _ in pairs:
        point = device.profile.points[i]
        for name, raw in point.needs:
            if _is_decided(runs, point.address, _register_of(device, name)):
                continue
            prerequisite = _prerequisite(device, name, raw)
            if prerequisite and prerequisite not in found:
                found.append(prerequisite)
    return found + _build_requests(device, pairs)


def _register_of(device: "WritableDevice", name: str) -> int:
    """Return the address of the register of a prerequisite; -1 for a coil."""
    profile = device.profile
    if not profile.has_bit(name):
        return profile.points[device.point_index(name)].address
    bit = profile.bits[profile.bit_index(name)]
    return -1 if bit.write == "coil" else bit.address


def _is_decided(runs: "list[_RegisterRun]", point_address: int, address: int) -> bool:
    """Return whether a run holds the register `address`, and none before it holds the point."""
    for run in runs:
        if run.holds(address):
            return True
        if run.holds(point_address):
            return False
    return False


def _prerequisite(device: "WritableDevice", name: str, raw: int) -> bytes:
    """Return the request for a value that another write needs; empty if the value is set."""
    if device.profile.has_bit(name):
        bit = device.profile.bits[device.profile.bit_index(name)]
        is_set = device.register_value(bit) is not None and device.is_bit_on(name) == bool(raw)
        return b"" if is_set else build_bit_write(device, name, bool(raw))
    pair = (device.point_index(name), raw)
    return b"" if readback_matches(device, [pair]) else _build_requests(device, [pair])[0]


def _build_requests(device: "WritableDevice", pairs: "Pairs") -> "list[bytes]":
    """Return one request for each run of registers, in the order of the pairs."""
    if not pairs:
        raise EncodeError("%s: nothing to write" % device.name)
    _check_identity(device)
    found: list[bytes] = []
    for i, count in pairs:
        point = device.profile.points[i]
        if point.field:
            low, width = point.field
            mask = ((1 << width) - 1) << low
            word = encode_words(device, point, count)[0]
            found.append(mask_write(point.address, 0xFFFF ^ mask, word << low))
    return found + [_build_request(device, run) for run in _find_runs(device, pairs)]


def _find_runs(device: "WritableDevice", pairs: "Pairs") -> "list[_RegisterRun]":
    """Return the runs of whole registers, in the order of the pairs."""
    runs = []
    for i, count in pairs:
        point = device.profile.points[i]
        if not point.field:
            runs.append(_RegisterRun(point.address, encode_words(device, point, count)))
    return _merge_runs(runs)


def _merge_runs(runs: "list[_RegisterRun]") -> "list[_RegisterRun]":
    """Merge the runs whose registers are side by side, in either order."""
    merged: list[_RegisterRun] = []
    for run in runs:
        for other in merged:
            if other.merge(run):
                break
        else:
            merged.append(run)
    return merged if len(merged) == len(runs) else _merge_runs(merged)


def _build_request(device: "WritableDevice", run: "_RegisterRun") -> bytes:
    words = run.words
    write_function = device.profile.write_with
    if write_function == READ_WRITE:
        return read_write(run.address, len(words), run.address, words)
    if len(words) == 1 and write_function != WRITE_MULTIPLE:
        return write_single(run.address, words[0])
    return write_multiple(run.address, words)


def _check_identity(device: "WritableDevice") -> None:
    if device.identity == MISMATCH:
        model = device.profile.model
        raise EncodeError(
            "%s is no %s (%s): no writes" % (device.name, model, device.mismatch_reason)
        )


def build_bit_write(device: "WritableDevice", name: str, on: bool) -> bytes:
    """Return the request that turns a bit on or off.

    The request writes a coil, a masked bit, or the whole register. The last needs a reading of the
    register. Raises `EncodeError`, and `ProfileError` for an unknown bit.
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
    word = word | bit.mask if value else word & ~bit.mask
    return _build_request(device, _RegisterRun(bit.address, [word]))


def ramp_limited(point: "Point", previous: int, target: int, elapsed_us: int) -> int:
    """Return the count nearest to `target` that `point.ramp` (counts per second) permits."""
    if not point.ramp:
        return target
    max_step = point.ramp * elapsed_us // SECOND
    return max(previous - max_step, min(previous + max_step, target))


def watchdog_request(device: "WritableDevice") -> "tuple[bytes, int] | None":
    """Return (request, period in microseconds) of the watchdog; None without a watchdog."""
    raw = device.profile.watchdog
    if not raw:
        return None
    pdu = build_write(device, [(device.point_index(raw["point"]), raw["value"])])
    return pdu, raw["period_ms"] * MILLISECOND


def readback_matches(device: "WritableDevice", pairs: "Pairs") -> "bool | None":
    """Return whether the latest poll shows the pairs; None while a point was never read."""
    is_same = True
    for i, count in pairs:
        point = device.profile.points[i]
        if point.verify == "none":
            continue
        read_index = i if point.verify == "same" else device.point_index(point.verify)
        reading = device.readings[read_index]
        if reading.quality == _NEVER_READ:
            return None
        is_same = is_same and _is_shown(device, point, count, reading.raw)
    return is_same


def _is_shown(device: "WritableDevice", point: "Point", count: int, read_count: int) -> bool:
    """Return whether `read_count` can be the readback of a written `count`."""
    if abs(read_count - count) <= point.within:
        return True
    if point.is_linked and point.verify == "same":
        return raw_value(device, point, count) == raw_value(device, point, read_count)
    return False
