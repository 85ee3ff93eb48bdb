"""Which model a unit is: asked by the profiles' identity probes, else by what its registers allow.

Not a certainty where a profile has no probe: then a device "resembles" every profile whose blocks
it answers with plausible values. The one with the least share of implausible values comes first
(in tenths: a device may say "no value"), and among equals the one that the most registers bear out.
A probe that fits is decisive, and one that does not rules its profile out.
"""

from drivers.device.device import BAD, ModbusDevice
from drivers.device.identity import MATCH, MISMATCH
from drivers.device.profile import DeviceProfile
from drivers.device.sunspec_scan import SunSpecScan
from protocols.modbus.pdu import EXCEPTION, GOOD, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.modbus.bus import TransactionResult
    from drivers.tools.lib.modbus_client import BlockingModbusClient

_IMPLAUSIBLE_SHARE = (
    4  # one reading in so many may be implausible: a device says "no value" that way
)
_ABSENT_CODES = (1, 2)  # exceptions: no such function, no such registers
PROBE = "probe"
RESEMBLES = "resembles"


class Match:
    """A profile that fits a unit: `method` is "probe" or "resembles", `registers` bear it out.

    `implausible_tenths`: tenths of its values that are implausible.
    """

    def __init__(
        self, model: str, method: str, registers: int, implausible_tenths: int = 0
    ) -> None:
        self.implausible_tenths = implausible_tenths
        self.model = model
        self.method = method
        self.registers = registers

    def record(self) -> "dict[str, object]":
        """For JSON."""
        return {"model": self.model, "how": self.method, "registers": self.registers}


class ProbedUnit:
    """One unit on a line; what it has answered already is not asked again."""

    def __init__(self, client: "BlockingModbusClient", number: int) -> None:
        self.number = number
        self._client = client
        self._results: dict[bytes, TransactionResult] = {}

    def request(self, pdu: bytes) -> "TransactionResult":
        """The reply to `pdu`, from the wire the first time."""
        if pdu not in self._results:
            self._results[pdu] = self._client.request(self.number, pdu)
        return self._results[pdu]


class Model:
    """A profile that may be found at more than one place, as SunSpec's models are."""

    def __init__(self, raw: "Any", include_unpolled: bool = False) -> None:
        """Compile parsed JSON. Raises `ProfileError`."""
        self._raw = raw
        self._include_unpolled = include_unpolled
        self._profile = DeviceProfile(raw, include_unpolled=include_unpolled)
        self.name = self._profile.model

    def profile_for(self, unit: ProbedUnit) -> DeviceProfile:
        """The profile, at the place where this unit has it; at the usual one when not found."""
        if not self._profile.scan:
            return self._profile
        scan = SunSpecScan(self._profile.scan)
        request = scan.next_request()
        while request is not None:
            result = unit.request(read(*request))
            scan.take_answer(result.values if result.status == GOOD else None)
            request = scan.next_request()
        if scan.base is None or scan.base == self._profile.base:
            return self._profile
        return DeviceProfile(self._raw, include_unpolled=self._include_unpolled, base=scan.base)


def identify(unit: ProbedUnit, models: "list[Model]") -> "list[Match]":
    """The profiles that fit, best first; those whose probes fitted leave no room for others."""
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
    registers = sum(count for _, _, count in profile.blocks)
    if device.identity == MATCH:
        return Match(profile.model, PROBE, registers)
    if device.identity_probes() or device.identity == MISMATCH:
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


def probe_device(unit: ProbedUnit, profile: DeviceProfile, name: str = "") -> ModbusDevice:
    """A device of this profile, its probes asked: see its `identity` and `mismatch`.

    A device without a probe can only show that it is another one, by not having the registers.
    """
    device = ModbusDevice(name or "unit %d" % unit.number, unit.number, profile)
    probes = device.identity_probes()
    for pdu, tag in probes:
        result = unit.request(pdu)
        device.store_probe_result(tag, result.status, result.code, result.values)
    if not probes:
        _check_registers(unit, device)
    return device


def _check_registers(unit: ProbedUnit, device: ModbusDevice) -> None:
    for pdu, tag in device.poll_requests():
        result = unit.request(pdu)
        if result.status == EXCEPTION and result.code in _ABSENT_CODES:
            function, address, count = device.blocks[tag]
            details = (result.code, function, address, address + count - 1)
            device.identity = MISMATCH
            device.mismatch_reason = "exception %d to function %d, registers %d to %d" % details
            return
