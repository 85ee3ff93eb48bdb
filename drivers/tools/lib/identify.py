# SPDX-License-Identifier: Apache-2.0
"""The model of a unit, found by the identity probes of profiles or by its registers.

Not a certainty for a profile without a probe. A unit "resembles" a profile if it returns all its
blocks with plausible values. The profile with the lowest share of implausible values comes first
(in tenths, because a device can have no value). Among equals, the profile with the most registers
comes first. A probe that matches decides; a probe that does not match excludes its profile. A probe
that only asks whether a register exists is no proof: a device can answer for every address.
"""

from drivers.device.device import BAD
from drivers.device.identity import MATCH, MISMATCH
from drivers.device.profile import DeviceProfile
from drivers.device.sunspec_scan import SunSpecScan
from drivers.modbus.register_span import overlaps
from drivers.tools.lib.values.tool_device import make_device
from protocols.modbus.pdu import EXCEPTION, GOOD, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from drivers.device.device import ModbusDevice
    from drivers.modbus.bus import TransactionResult
    from drivers.modbus.register_span import ReadBlock
    from drivers.tools.lib.modbus_client import BlockingModbusClient

_IMPLAUSIBLE_SHARE = 4
"""One of so many readings can be implausible, because a device can have no value for it."""
_ABSENT_CODES = (1, 2)  # exceptions for unknown functions and registers
_CONTENTS = frozenset(("text", "any", "between", "words"))
PROBE = "probe"
RESEMBLES = "resembles"


class Match:
    """A profile that fits a unit; `method` is PROBE or RESEMBLES.

    `registers` is the number of registers that support the match. `implausible_tenths` is the share
    of implausible values in tenths.
    """

    def __init__(
        self, model: str, method: str, registers: int, implausible_tenths: int = 0
    ) -> None:
        self.implausible_tenths = implausible_tenths
        self.model = model
        self.method = method
        self.registers = registers

    def record(self) -> "dict[str, object]":
        """Return the match as a JSON object."""
        return {"model": self.model, "how": self.method, "registers": self.registers}


class ProbedUnit:
    """One unit on a line. It keeps the results, so that each request goes out only once."""

    def __init__(self, client: "BlockingModbusClient", number: int) -> None:
        self.number = number
        self._client = client
        self._results: dict[bytes, TransactionResult] = {}

    def request(self, pdu: bytes) -> "TransactionResult":
        """Return the result of `pdu`, from the wire or from an earlier request."""
        if pdu not in self._results:
            self._results[pdu] = self._client.request(self.number, pdu)
        return self._results[pdu]


class Model:
    """A profile whose registers can begin at several addresses, such as a SunSpec model."""

    def __init__(self, raw: "Any", include_unpolled: bool = False) -> None:
        """Compile the parsed JSON of a profile. Raises `ProfileError`."""
        self._raw = raw
        self._include_unpolled = include_unpolled
        self._profile = DeviceProfile(raw, include_unpolled=include_unpolled)
        self.name = self._profile.model

    def profile_for(self, unit: ProbedUnit) -> DeviceProfile:
        """Return the profile at the address in this unit, or at the usual address if not found."""
        if not self._profile.scan:
            return self._profile
        scan = SunSpecScan(self._profile.scan)
        request = scan.next_request()
        while request is not None:
            result = unit.request(read(*request))
            scan.take_answer(result.values if result.status == GOOD else None)
            request = scan.next_request()
        if scan.base_address is None or scan.base_address == self._profile.base_address:
            return self._profile
        return DeviceProfile(
            self._raw, include_unpolled=self._include_unpolled, base_address=scan.base_address
        )


def identify(unit: ProbedUnit, models: "list[Model]") -> "list[Match]":
    """Return the profiles that fit, best first; a probe that matches excludes the others."""
    found = [
        match
        for match in (_match_profile(unit, model.profile_for(unit)) for model in models)
        if match
    ]
    proven_matches = [match for match in found if match.method == PROBE]
    return sorted(
        proven_matches or found, key=lambda match: (match.implausible_tenths, -match.registers)
    )


def _match_profile(unit: ProbedUnit, profile: DeviceProfile) -> "Match | None":
    device = probe_device(unit, profile)
    registers = sum(block.count for block in profile.blocks)
    if device.identity == MATCH and compares_contents(profile):
        return Match(profile.model, PROBE, registers)
    if device.identity == MISMATCH or (device.identity_probes() and device.identity != MATCH):
        return None
    for pdu, tag in device.poll_requests():
        result = unit.request(pdu)
        if result.status != GOOD:
            return None
        device.store_block(tag, result.values, result.done_at)
    implausible = len([1 for reading in device.readings if reading.quality == BAD])
    if implausible * _IMPLAUSIBLE_SHARE > len(device.readings):
        return None
    implausible_tenths = implausible * 10 // len(device.readings)
    return Match(profile.model, RESEMBLES, registers, implausible_tenths)


def compares_contents(profile: DeviceProfile) -> bool:
    """Return whether a probe of the profile compares what the device holds, and so proves it."""
    keys = {key for probe in profile.identity for key in probe}
    return bool(profile.scan) or bool(keys & _CONTENTS)


def probe_device(
    unit: ProbedUnit,
    profile: DeviceProfile,
    name: str = "",
    planned: "Sequence[ReadBlock]" = (),
) -> "ModbusDevice":
    """Return a device of this profile after its probes; see its `identity`.

    Without a probe, only missing registers can show that the device is another model. `planned`:
    the reads of a poll, which can go through gaps; without them each span is asked alone.
    """
    device = make_device(name or "unit %d" % unit.number, unit.number, profile)
    probes = device.identity_probes()
    for pdu, tag in probes:
        result = unit.request(pdu)
        device.store_probe_result(tag, result.status, result.code, result.values)
    if not probes:
        _check_registers(unit, device, planned)
    return device


def _check_registers(
    unit: ProbedUnit, device: "ModbusDevice", planned: "Sequence[ReadBlock]"
) -> None:
    """Set a mismatch if a span of the profile does not exist.

    A rejected read of `planned` alone does not show that: a gap in it can be the cause.
    """
    suspects = device.blocks
    if planned:
        rejected = [span for span in planned if unit.request(read(*span)).status == EXCEPTION]
        suspects = [b for b in suspects if any(overlaps(b, span) for span in rejected)]
    for block in suspects:
        result = unit.request(read(*block))
        if result.status == EXCEPTION and result.code in _ABSENT_CODES:
            last = block.address + block.count - 1
            details = (result.code, block.function, block.address, last)
            device.set_identity(
                MISMATCH, "exception %d to function %d, registers %d to %d" % details
            )
            return
