# SPDX-License-Identifier: Apache-2.0
"""The SunSpec scan finds the requested model in the chain, and always ends."""

from drivers.device.device import ModbusDevice
from drivers.device.profile import DeviceProfile
from drivers.device.sunspec_scan import SunSpecScan
from protocols.modbus import pdu
from tests.portable.support.check import eq

RAW = {"words": [21365, 28243], "bases": [40000, 50000, 0], "model": 203, "usual": 40070}


def run_scan(registers):
    """Scan a device with these registers; return the base and the addresses that were read."""
    scan = SunSpecScan(RAW)
    addresses = []
    while True:
        request = scan.next_request()
        if request is None:
            return scan.base_address, addresses
        _, address, count = request
        addresses.append(address)
        wanted = range(address, address + count)
        known = [registers[i] for i in wanted if i in registers]
        scan.take_answer(tuple(known) if len(known) == count else None)


def build_chain(base, models):
    made = {base: 21365, base + 1: 28243}
    at = base + 2
    for number, length in models:
        made[at], made[at + 1] = number, length
        at += 2 + length
    return made


def test_model_at_usual_address():
    eq(
        run_scan(build_chain(40000, [(1, 66), (203, 105), (65535, 0)])),
        (40070, [40000, 40002, 40070]),
    )


def test_other_base_and_more_models():
    found = run_scan(build_chain(0, [(1, 65), (11, 13), (203, 105)]))
    eq(found, (84, [40000, 50000, 0, 2, 69, 84]))


def test_model_not_found():
    eq(run_scan({}), (None, [40000, 50000, 0]))
    eq(run_scan(build_chain(50000, [(1, 66), (101, 50), (65535, 0)]))[0], None)


def test_endless_chain_is_abandoned():
    registers = build_chain(40000, [(1, 0)] * 200)
    base, addresses = run_scan(registers)
    eq((base, len(addresses) < 80), (None, True))
    eq(run_scan(build_chain(40000, [(1, 65535)]))[0], None)


def test_found_base_shifts_addresses():
    raw = {"model": "x", "title": "X", "source": "made up", "met_hardware": False, "scan": RAW}
    raw["points"] = [{"name": "A", "address": 5, "type": "i16"}]
    eq(DeviceProfile(raw).blocks, [(3, 40075, 1)])
    moved = ModbusDevice("d", 1, DeviceProfile(raw, base_address=84))
    eq(moved.blocks, [(3, 89, 1)])
    eq(moved.identity_probes(), [(pdu.read_holding(84, 1), 0)])
    moved.store_probe_result(0, "ok", 0, (203,))
    eq(moved.identity, "match")
    moved.store_probe_result(0, "ok", 0, (103,))
    eq(moved.mismatch_reason, "address 84 holds [103], not [203]")
