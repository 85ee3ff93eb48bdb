# SPDX-License-Identifier: Apache-2.0
"""Live values of a device by its profile, and the words of its outputs.

Does not ask questions (`hil.tools.commission.steps`) and does not write by itself
(`hil.tools.commission.outputs.write_test`). A float that no CDU can have is bad, also if it is
within the range of its point.
"""

import math
import struct
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from drivers.device.device import BAD, GOOD, NONE, ModbusDevice
from drivers.device.identity import MISMATCH
from drivers.device.profile import Bit, DeviceProfile, Point
from drivers.errors import DriverError
from drivers.modbus.bus import TransactionResult
from drivers.tools.lib.arguments import describe_result
from drivers.tools.lib.identify import Model, ProbedUnit, compares_contents, probe_device
from drivers.tools.lib.modbus_client import BlockingModbusClient, port_address
from drivers.tools.modbus_scan import read_identification, refuses_identification
from hil.errors import BenchError
from hil.record.provenance import MATCHES, NO_IDENTIFICATION
from protocols.modbus import pdu
from protocols.time_units import MILLISECOND

TIMEOUT_MS = 300
_ONE_OBJECT, _NAME_OBJECTS = 4, (0, 1, 2)
_WRONG_ORDER = "the type or the word order is wrong"
_LEAST_FLOAT, _LARGEST_FLOAT = 1e-6, 1e12


def _to_float(bits: int, words: int) -> float:
    size, form = (4, ">f") if words == 2 else (8, ">d")
    return float(struct.unpack(form, bits.to_bytes(size))[0])


IDENTIFICATION = "identification"
"""Key of a device: maker, product and revision that the scan has read by function 43."""


WRITABLE = "writable"
"""Key of a device: (function, address) of the rows of its table with access RW."""
Place = tuple[int, int]


def writable_places(device: dict[str, Any]) -> list[Place]:
    """Return the rows of a device with access RW."""
    return [(function, address) for function, address in device.get(WRITABLE, [])]


def name_of(identification: dict[str, str]) -> str:
    """Return how a device names itself, as one text."""
    return " ".join(filter(None, identification.values()))


class LiveValue(NamedTuple):
    """One value: `quality` is good, bad or none."""

    name: str
    value: float
    unit: str
    quality: str


class DeviceAccess:
    """One device on one port. Raises `PortError` if the port cannot be opened."""

    def __init__(
        self,
        port: str,
        unit: int,
        raw: dict[str, Any],
        timeout_ms: int = TIMEOUT_MS,
        beside: "DeviceAccess | None" = None,
    ) -> None:
        """Open the port. `beside`: an open device on the same port, whose line this one shares."""
        self._is_owner = beside is None
        if beside is None:
            self.client = BlockingModbusClient(port_address(port), timeout_ms * MILLISECOND)
        else:
            self.client = beside.client
        self._unit = ProbedUnit(self.client, unit)
        self.profile: DeviceProfile = Model(raw).profile_for(self._unit)
        self.device: ModbusDevice = probe_device(self._unit, self.profile)
        self.errors: list[str] = []
        self._unread = {tag for _, tag in self.device.poll_requests() if self._has_alarms(tag)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        if self._is_owner:
            self.client.__exit__(*details)

    @property
    def identity(self) -> str:
        """What the probes of the profile have found."""
        if self.device.identity == MISMATCH:
            return f"is another model: {self.device.mismatch_reason}"
        return MATCHES if compares_contents(self.profile) else NO_IDENTIFICATION

    def other_name(self, known: dict[str, str]) -> str:
        """Return how the device names itself by function 43 if it is not `known`; else empty.

        A device that does not reply is not another one. Raises `PortError`.
        """
        if not any(known.values()):
            return ""
        found = read_identification(self._unit)
        if not found:
            return "nothing" if refuses_identification(self._unit) else ""
        is_other = any(found[key] != known[key] for key in known.keys() & found.keys())
        return name_of(found) or "nothing" if is_other else ""

    def identification(self) -> dict[str, str]:
        """Return maker, product and revision by function 43; empty without. Raises `PortError`."""
        return read_identification(self._unit)

    def name_probes(self) -> list[dict[str, Any]]:
        """Return the probes of a profile that compare how the device names itself now.

        Empty if it gives no single object of function 43. Raises `PortError`.
        """
        found = []
        for number in _NAME_OBJECTS:
            result = self.request(pdu.read_device_id(_ONE_OBJECT, number))
            if result.status != pdu.GOOD:
                continue
            contents = dict(pdu.parse_objects(result.values)[0])
            text = contents.get(number, b"").decode("ascii", "replace")
            if text and text.isascii() and text.isprintable():
                found.append({"object": number, "text": text})
        return found

    def poll(self) -> None:
        """Read all blocks; `errors` has a text for each that failed."""
        self.errors = []
        for request, tag in self.device.poll_requests():
            self._poll_block(request, tag)
        problem = self.word_order_problem()
        if problem:
            self.errors.append(problem)

    def poll_point(self, index: int) -> str:
        """Read the block of one point, or all blocks if it needs others; return the problem.

        Raises `PortError`. A point that is in no block cannot be read; that is no problem here.
        """
        point = self.profile.points[index]
        self.errors = []
        for request, tag in self.device.poll_requests():
            if self.is_block_of(point, tag) or point.is_linked:
                self._poll_block(request, tag)
        return "; ".join(self.errors)

    def _poll_block(self, request: bytes, tag: int) -> None:
        result = self.client.request(self.device.unit, request)
        if result.status == pdu.GOOD:
            self.device.store_block(tag, result.values, result.done_at)
            self._unread.discard(tag)
            return
        if self._has_alarms(tag):
            self._unread.add(tag)
        block = self.device.blocks[tag]
        last = block.address + block.count - 1
        self.errors.append(f"registers {block.address} to {last}: {describe_result(result)}")
        self.device.block_failed(tag, result.done_at)

    def _has_alarms(self, tag: int) -> bool:
        block = self.device.blocks[tag]
        return any(
            bit.alarm
            and bit.function == block.function
            and block.address <= bit.address < block.address + block.count
            for bit in self.profile.bits
        )

    def has_alarms(self) -> bool:
        """Return whether the profile has alarms."""
        return any(bit.alarm for bit in self.profile.bits)

    def alarm_problem(self) -> str:
        """Return the alarms of the last poll, or that they are not known; empty if none is on.

        A register of alarms that has not replied shows nothing: its last state can be old.
        """
        alarms = self.device.active_alarm_bits()
        if alarms:
            return f"alarm {', '.join(alarms)} is on"
        if self._unread:
            return f"the alarms cannot be read: {'; '.join(self.errors) or 'no reply'}"
        return ""

    def values(self) -> list[LiveValue]:
        """Return the values of the last poll."""
        return [
            LiveValue(
                point.name,
                self.device.value(i),
                "" if point.unit == "1" else point.unit,
                self._quality(i),
            )
            for i, point in enumerate(self.profile.points)
        ]

    def good_values(self) -> dict[str, float]:
        """Return the good values of the last poll by name."""
        return {value.name: value.value for value in self.values() if value.quality == GOOD}

    def is_block_of(self, point: Point, tag: int) -> bool:
        """Return whether a poll reads `point` in block `tag`."""
        block = self.device.blocks[tag]
        last = block.address + block.count
        is_inside = block.address <= point.address < last
        return bool(block.function == point.function and is_inside)

    def _quality(self, index: int) -> str:
        """Return the quality; a value of an earlier poll, before its block failed, is none."""
        point, failures = self.profile.points[index], self.device.failures
        if any(count and self.is_block_of(point, tag) for tag, count in enumerate(failures)):
            return NONE
        quality = self.device.readings[index].quality
        return BAD if quality == GOOD and self.implausible(index) else quality

    def bits(self) -> dict[str, bool]:
        """Return the bits of the last poll."""
        return {bit.name: self.device.is_bit_on(bit.name) for bit in self.profile.bits}

    # The outputs and their words.

    def outputs(self) -> list[str]:
        """Return the points that the roles write."""
        profile = self.profile
        roles = [profile.pump, profile.valve, profile.fan]
        return [role["setpoint"] for role in roles if role] + list(profile.cdu.values())

    def request(self, request: bytes) -> TransactionResult:
        """Send one request. Raises `PortError`."""
        return self.client.request(self.device.unit, request)

    def read_words(self, function: int, address: int, count: int) -> tuple[list[int], str]:
        """Return the words of registers and an empty text, or no words and the problem."""
        result = self.request(pdu.read(function, address, count))
        if result.status != pdu.GOOD:
            return [], describe_result(result)
        return list(result.values), ""

    def polled_words(self, point: Point) -> list[int]:
        """Return the words of a point from the last poll, as read; empty if it has none."""
        words = []
        for address in range(point.address, point.address + point.registers):
            register = {"name": "", "function": point.function, "address": address, "mask": 0xFFFF}
            word = self.device.register_value(Bit(register))
            if word is None:
                return []
            words.append(word)
        return words

    def implausible(self, index: int) -> str:
        """Return why the words of a float cannot be a value of a CDU; empty if they can.

        A denormal or another float other than zero and below 1e-6 comes from words in another
        order or from another type.
        """
        point = self.profile.points[index]
        if not point.is_float:
            return ""
        words = self._words(point)
        bits = 0
        for word in words:
            bits = bits << 16 | word
        value = _to_float(bits, len(words))
        if not math.isfinite(value):
            return "the registers hold no number"
        if value and not _LEAST_FLOAT <= abs(value) <= _LARGEST_FLOAT:
            return f"the registers hold {value:.2g}; {_WRONG_ORDER}"
        return ""

    def word_order_problem(self) -> str:
        """Return the first float that shows a wrong type or word order; empty if there is none.

        The order of a device is the same for all its floats, and some look right in a wrong order.
        """
        for index, point in enumerate(self.profile.points):
            reason = self.implausible(index)
            if reason.endswith(_WRONG_ORDER):
                return f"{point.name}: {reason}"
        return ""

    def unseen_word_order(self, index: int) -> str:
        """Return why nothing shows the word order of a point; empty if something does.

        Words that are all 0 look the same in each order. A float of the device that is not 0 and
        plausible shows it.
        """
        point = self.profile.points[index]
        if point.registers == 1 or any(self._words(point)):
            return ""
        for i, other in enumerate(self.profile.points):
            is_same = other.is_float and other.order == point.order
            if is_same and self.readings_good(i) and any(self._words(other)):
                return ""
        return "its registers hold 0, which shows no word order: give the output another value"

    def readings_good(self, index: int) -> bool:
        """Return whether the last poll has a good and plausible value of a point."""
        return self._quality(index) == GOOD

    def _words(self, point: Point) -> list[int]:
        """Return the words of the last poll, most significant first."""
        words = []
        for position in point.order.positions:
            address = point.address + position
            register = {"name": "", "function": point.function, "address": address, "mask": 0xFFFF}
            word = self.device.register_value(Bit(register)) or 0
            swapped = (word & 0xFF) << 8 | word >> 8
            words.append(swapped if point.order.swapped else word)
        return words


def check_name_of(access: DeviceAccess, device: dict[str, Any]) -> None:
    """Raise BenchError if a device names itself otherwise than in the scan; also `PortError`."""
    known = device.get(IDENTIFICATION, {})
    other = access.other_name(known)
    if other:
        raise BenchError(
            f"{device['name']}: the device at {device['port']} unit {device['unit']} names itself "
            f"{other}; step `scan` has found {name_of(known)}: it is another device, and needs "
            "`--from scan`"
        )


def find_other_devices(
    devices: list[dict[str, Any]], open_device: Callable[[dict[str, Any]], DeviceAccess]
) -> list[str]:
    """Return a line for each device that names itself otherwise than its identification.

    `open_device` can find it too, by BenchError. A device that does not reply is not another one.
    """
    found = []
    for device in devices:
        try:
            with open_device(device) as access:
                check_name_of(access, device)
        except BenchError as error:
            found.append(str(error))
        except DriverError:
            continue
    return found


def find_alarms(
    devices: list[dict[str, Any]], open_device: Callable[[dict[str, Any]], DeviceAccess]
) -> str:
    """Return an alarm of the devices that is on or cannot be read, with its device; or empty."""
    for device in devices:
        try:
            with open_device(device) as access:
                access.poll()
                problem = access.alarm_problem()
        except (BenchError, DriverError) as error:
            problem = f"the alarms cannot be read: {error}"
        if problem:
            return f"{device['name']}: {problem}"
    return ""
