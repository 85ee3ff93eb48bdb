# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus write`: write one value after confirmation; show it before and after.

Writes one value once. Without a profile it knows only the limits of the type. With a profile:
- the value is in the unit of the point and within its limits;
- prerequisites of the point (for example remote mode) are written first;
- bits are written by name, on or off;
- a device that is not the model of the profile is not written.

A value outside its limits is not sent. Nothing is sent to a unit that does not reply to a read. The
command reads the value back for about 1 s, because a device can need this time.

The result is one of `STATES`. Only "done" has exit code 0: a reply to a write does not show that
the device holds the value. Not all exceptions show that it does not: see `_PERHAPS_WRITTEN`. If the
first attempt got no reply, the device can have executed it, and no exception to the repeat shows
more. Ctrl-C or the loss of the port after the request gives "unknown".
"""

import argparse
import time

from drivers.device.device import BAD, ModbusDevice
from drivers.device.identity import MISMATCH, UNKNOWN
from drivers.device.profile import DeviceProfile
from drivers.errors import PortError, ProfileError
from drivers.tools.lib.address_write import AddressWrite, WritePlan, parse_switch, parse_words
from drivers.tools.lib.arguments import (
    BAD_EXIT,
    GOOD_EXIT,
    UsageError,
    add_port,
    add_timeout,
    bounded,
    checked_profile,
    confirm,
    describe_device,
    describe_result,
    interrupted_exit,
    print_error,
    print_json,
    print_line,
)
from drivers.tools.lib.identify import Model, ProbedUnit, probe_device
from drivers.tools.lib.modbus_client import BlockingModbusClient, port_address
from drivers.tools.lib.values.point_value import (
    find_point,
    nearest_count,
    parse_value,
    reading_value,
    value_of,
)
from drivers.tools.lib.values.tool_device import make_plan, needed_blocks
from drivers.tools.modbus_read import add_type, check_unit
from protocols.modbus.pdu import EXCEPTION, GOOD, WRITES
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import Bit
    from drivers.modbus.bus import TransactionResult

EXAMPLE = (
    "coldloop modbus write /dev/ttyUSB0 20 ValvePositionControlPercent 40 --profile belimo_valve"
)
STATES = ("done", "accepted", "unknown", "refused", "failed")
"""State of a write.

done      the device holds the value: it was read back
accepted  the device confirmed the write, and the value cannot be read
unknown   the device can hold the value or not: no clear confirmation, and no readback
refused   the device rejected the write, or it is not the model of the profile
failed    nothing was written, or the device holds another value
"""
_DONE, _ACCEPTED, _UNKNOWN, _REFUSED, _FAILED = STATES
_UNCERTAIN = ("timeout", "mismatch", "unsure", "lost")  # the device can have executed the write
_PERHAPS_WRITTEN = (4, 5, 11)
"""Exceptions after which the device can hold the value: an error during the execution, "accepted,
takes long", a gateway without a reply ("MODBUS Application Protocol V1.1b3", section 7).
"""
_MAX_READBACKS = 5
_PAUSE_S = 0.2
_EXPLANATIONS = {
    _DONE: "the device holds the value",
    _ACCEPTED: "the device confirmed the write; the value cannot be read back",
    _UNKNOWN: "no proof that the device holds the value; read it before the next write",
    _FAILED: "the device holds another value",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_port(parser)
    parser.add_argument("unit", type=bounded("UNIT", 0, 255), metavar="UNIT", help="1 to 247")
    parser.add_argument(
        "address",
        metavar="ADDRESS",
        help="0 to 65535, as on the wire, or the name of a point or bit of --profile",
    )
    parser.add_argument(
        "value",
        metavar="VALUE",
        help="value, or several with commas; with --profile in the unit of the point",
    )
    parser.add_argument("--profile", metavar="P", help="name of a shipped profile, or a file")
    parser.add_argument(
        "--function",
        type=int,
        choices=WRITES,
        help="5, 15: coils; 6, 16, 23: registers (6 for one); 22: masks, AND:OR",
    )
    add_type(parser)
    parser.add_argument("--yes", action="store_true", help="write without confirmation")
    add_timeout(parser, 300)


class ProfileWrite(WritePlan):
    """The write of an entry of a profile, to a device after its identity probes."""

    def __init__(
        self, target: str, client: BlockingModbusClient, unit: ProbedUnit, profile: DeviceProfile
    ) -> None:
        super().__init__(target)
        self._client = client
        planned = make_plan(profile, client.bus.wire_time).blocks
        self.device = probe_device(unit, profile, planned=planned)
        self.device.set_blocks(needed_blocks(profile, target))

    def poll_blocks(self) -> None:
        """Read all needed blocks, because a write can need the values of other registers.

        Without a reply to one block the rest is not asked. A value of an earlier read does not
        count: it can be from before the write.
        """
        self.read_fault = None
        self.device.forget_values()
        for request, tag in self.device.poll_requests():
            fault: TransactionResult | None = self.read_fault
            if fault is not None and fault.status != EXCEPTION:
                self.device.block_failed(tag, fault.done_at)
                continue
            result = self._client.request(self.device.unit, request)
            if result.status == GOOD:
                self.device.store_block(tag, result.values, result.done_at)
            else:
                self.read_fault = result
                self.device.block_failed(tag, result.done_at)


class BitWrite(ProfileWrite):
    """The write of a bit: a coil, or one bit of a register without a change of the others."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        client: BlockingModbusClient,
        unit: ProbedUnit,
        profile: DeviceProfile,
    ) -> None:
        self._bit = _find_bit(profile, arguments.address)
        super().__init__(self._bit.name, client, unit, profile)
        self.requested = int(parse_switch(arguments.value))

    def build_requests(self) -> "list[bytes]":
        """Return the request."""
        return [self.device.build_bit_write(self._bit.name, bool(self.requested))]

    def read_current(self) -> "Any":
        """Read and return the bit, inverted if the profile says so."""
        self.poll_blocks()
        is_known = self.device.register_value(self._bit) is not None
        return int(self.device.is_bit_on(self._bit.name)) if is_known else None

    def format_value(self, value: "Any") -> str:
        """Return "on", "off" or "unreadable"."""
        return super().format_value(value) if value is None else ("off", "on")[value]


class PointWrite(ProfileWrite):
    """The write of a point. Raises `UsageError` if the profile does not permit the value."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        client: BlockingModbusClient,
        unit: ProbedUnit,
        profile: DeviceProfile,
    ) -> None:
        self._index = find_point(profile, arguments.address)
        point = self._point = profile.points[self._index]
        self._count = nearest_count(point, parse_value(arguments.value, point))
        super().__init__(point.name, client, unit, profile)
        self.requested = value_of(point, self._count)

    def build_requests(self) -> "list[bytes]":
        """Return the requests for the prerequisites and for the point."""
        return self.device.build_writes([(self._index, self._count)])

    def read_current(self) -> "Any":
        """Read and return the point that verifies the write, see `verify` in the profile."""
        self.poll_blocks()
        name = self._point.verify
        index = self._index if name in ("same", "none") else self.device.point_index(name)
        quality = self.device.readings[index].quality
        return reading_value(self.device, index) if quality in ("good", BAD) else None

    def is_verified(self, reading: "Any") -> "bool | None":
        """Return whether the readback matches by the rules of the profile."""
        if reading is None or self._point.verify == "none":
            return None
        return self.device.readback_matches([(self._index, self._count)])

    def format_value(self, value: "Any") -> str:
        """Return a value as text with its unit."""
        unit = "" if self._point.unit == "1" else " " + self._point.unit
        return super().format_value(value) + (unit if value is not None else "")


def _find_bit(profile: DeviceProfile, name: str) -> "Bit":
    """Return a bit by its name. Raises `UsageError` if it is read-only."""
    bit = profile.bits[profile.bit_index(name)]
    if not bit.write:
        raise UsageError("%s: %s is read-only" % (profile.model, name))
    return bit


def run(arguments: argparse.Namespace) -> int:
    """Ask, write, read back; return 1 if the device rejects or does not show the value."""
    address = port_address(arguments.port)
    check_unit(arguments.unit, address)
    device_text = describe_device(address, arguments.unit)
    raw = None if arguments.profile is None else checked_profile(arguments.profile)
    _check_before_opening(arguments, raw)
    with BlockingModbusClient(address, arguments.timeout_ms * MILLISECOND) as client:
        plan: WritePlan
        if raw is None:
            plan = AddressWrite(arguments, client)
        else:
            unit = ProbedUnit(client, arguments.unit)
            profile = Model(raw, include_unpolled=True).profile_for(unit)
            kind = BitWrite if profile.has_bit(arguments.address) else PointWrite
            plan = kind(arguments, client, unit, profile)
            identity_fault = _identity_fault(plan.device)
            if identity_fault:
                return _report_fault(arguments, device_text, _REFUSED, identity_fault)
        value_before, fault_text = _read_before(plan)
        if fault_text:
            return _report_fault(arguments, device_text, _FAILED, fault_text)
        requests = plan.build_requests()
        question = "%s %s: present value %s, new value %s. Write?"
        shown = plan.format_value(value_before)
        texts = (device_text, plan.target, shown, plan.format_requested())
        if not confirm(question % texts, arguments.yes):
            print_line("nothing written")
            return BAD_EXIT
        if not arguments.yes:  # the other bits of a register can have changed meanwhile
            value_before, fault_text = _read_before(plan)
            if fault_text:
                return _report_fault(arguments, device_text, _FAILED, fault_text)
            requests = plan.build_requests()
        return _write(arguments, client, plan, requests, value_before)


def _read_before(plan: WritePlan) -> "tuple[Any, str]":
    """Read the present value; return it and "", or why nothing can be written."""
    value = plan.read_current()
    fault = plan.read_fault
    if fault is None or fault.status == EXCEPTION:
        return value, ""
    text = "%s: the read before the write: %s; nothing written"
    return value, text % (plan.target, describe_result(fault))


def _write(
    arguments: argparse.Namespace,
    client: BlockingModbusClient,
    plan: WritePlan,
    requests: "list[bytes]",
    value_before: "Any",
) -> int:
    """Send the requests, read back and report; after the first request no end is without a line."""
    device_text = describe_device(client.address, arguments.unit)
    try:
        result, sent = _send(client, arguments.unit, requests)
        is_refused = _is_refusal(result) and not client.has_earlier_attempt
        if sent < len(requests) or is_refused:
            text = _explain_fault(plan.target, requests, sent, result)
            state = _REFUSED if is_refused else _UNKNOWN
            return _report_fault(arguments, device_text, state, text)
        reading, verified = _read_back(plan)
    except (KeyboardInterrupt, PortError) as error:
        cause = str(error) or "interrupted"
        text = "%s: %s after the request was sent; %s" % (
            plan.target,
            cause,
            _EXPLANATIONS[_UNKNOWN],
        )
        _report_fault(arguments, device_text, _UNKNOWN, text)
        return interrupted_exit(error) if isinstance(error, KeyboardInterrupt) else BAD_EXIT
    is_confirmed = result.status == GOOD and client.echo_is_known
    state = _state_of(is_confirmed, verified)
    cause = "" if result.status == GOOD else describe_result(result)
    return _report(arguments, plan, value_before, reading, state, cause)


def _is_refusal(result: "TransactionResult") -> bool:
    """Return whether the device says that it has not written."""
    return result.status not in (GOOD, *_UNCERTAIN) and result.code not in _PERHAPS_WRITTEN


def _send(
    client: BlockingModbusClient, unit: int, requests: "list[bytes]"
) -> "tuple[TransactionResult, int]":
    """Send the requests in order, up to the first without a good reply.

    Return the last result and the number of sent requests.
    """
    sent = 1
    result = client.request(unit, requests[0])
    while sent < len(requests) and result.status == GOOD:
        result = client.request(unit, requests[sent])
        sent += 1
    return result, sent


def _explain_fault(
    target: str, requests: "list[bytes]", sent: int, result: "TransactionResult"
) -> str:
    """Say which of the requests failed, and which prerequisites the device has now."""
    addresses = [request[1] << 8 | request[2] for request in requests[:sent]]
    text = "%s: %s" % (target, describe_result(result))
    if sent < len(requests):
        text = "%s was not sent: its prerequisite at address %d: %s" % (
            target,
            addresses[-1],
            describe_result(result),
        )
    if sent > 1:
        text += "; written before: address %s" % ", ".join(map(str, addresses[:-1]))
    return text


def _state_of(is_confirmed: bool, verified: "bool | None") -> str:
    """Return the state of a write that was sent."""
    if verified:
        return _DONE
    if verified is False:
        return _FAILED
    return _ACCEPTED if is_confirmed else _UNKNOWN


def _check_before_opening(arguments: argparse.Namespace, raw: "Any") -> None:
    """Check everything that needs no device. Raises `UsageError`."""
    if raw is None:
        parse_words(arguments)
        return
    profile = DeviceProfile(raw, include_unpolled=True)
    if profile.has_bit(arguments.address):
        _find_bit(profile, arguments.address)
        parse_switch(arguments.value)
        return
    try:
        point = profile.points[find_point(profile, arguments.address)]
    except ProfileError as error:
        raise UsageError(str(error))
    parse_value(arguments.value, point)


def _identity_fault(device: ModbusDevice) -> str:
    if device.identity == UNKNOWN and device.identity_probes():
        model = device.profile.model
        return "did not identify itself as %s; nothing written" % model
    if device.identity != MISMATCH:
        return ""
    return "is not model %s: %s; nothing written" % (device.profile.model, device.mismatch_reason)


def _report_fault(arguments: argparse.Namespace, device_text: str, state: str, text: str) -> int:
    if arguments.json:
        record = {"unit": arguments.unit, "address": arguments.address}
        print_json({**record, "state": state, "error": text})
    print_error("write", "%s: %s %s" % (state, device_text, text))
    return BAD_EXIT


def _read_back(plan: WritePlan) -> "tuple[Any, bool | None]":
    """Read until the value is as requested, for about 1 s; return (reading, verified)."""
    reading = plan.read_current()
    verified = plan.is_verified(reading)
    for _ in range(_MAX_READBACKS):
        if verified:
            break
        time.sleep(_PAUSE_S)
        reading = plan.read_current()
        verified = plan.is_verified(reading)
    return reading, verified


def _report(
    arguments: argparse.Namespace,
    plan: WritePlan,
    value_before: "Any",
    reading: "Any",
    state: str,
    cause: str,
) -> int:
    verified = {_DONE: True, _FAILED: False}.get(state)
    if arguments.json:
        record = {"unit": arguments.unit, "address": arguments.address, "before": value_before}
        shown = {"written": plan.requested, "readback": reading, "verified": verified}
        print_json({**record, **shown, "state": state, "cause": cause})
    else:
        print_line("%s: was %s" % (plan.target, plan.format_value(value_before)))
        print_line("written:    %s" % plan.format_requested())
        verdict = {_DONE: "as written", _FAILED: "NOT as written"}.get(state, "not verified")
        print_line("reads back: %s, %s" % (plan.format_value(reading), verdict))
        text = _EXPLANATIONS[state] + (" (reply to the write: %s)" % cause if cause else "")
        print_line("%s: %s" % (state, text))
    return GOOD_EXIT if state == _DONE else BAD_EXIT
