# SPDX-License-Identifier: Apache-2.0
"""CPU time of one Modbus RTU transaction of 20 registers, beside pymodbus.

    python -m benchmarks.modbus.transaction [--transactions 5000] [--rounds 7]

Both sides do the work of a client in this process, without a port: make the request frame, take the
reply in one chunk, check it, return the registers. Ours is `drivers.modbus.bus.Bus` (queue, timing,
matching of the reply), then also `drivers.device.device.ModbusDevice` (20 scaled readings with
quality and age). For pymodbus it is the framer with the PDU classes of request and reply, without
the waiting and matching of its client, which needs a port. Each reply has other registers.
"""

import argparse
import sys
import time
from collections.abc import Callable

from pymodbus.framer.rtu import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest

from benchmarks.common import Record, describe_machine, show, summarise
from drivers.device.device import ModbusDevice
from drivers.device.profile import DeviceProfile
from drivers.modbus.bus import Bus
from protocols.modbus.crc import with_crc
from protocols.modbus.pdu import read_holding

UNIT, COUNT = 12, 20
_PERIOD_US = 100_000

Transactions = Callable[[list[bytes]], int]


def replies(count: int) -> list[bytes]:
    """Return `count` different reply frames."""
    return [
        with_crc(
            bytes((UNIT, 3, 2 * COUNT))
            + b"".join(((i * 7 + r) & 0xFFFF).to_bytes(2, "big") for r in range(COUNT))
        )
        for i in range(count)
    ]


def run_bus(frames: list[bytes]) -> int:
    """Run one transaction for each frame on the bus; return the sum of a register."""
    bus, request = Bus(4, "rtu"), read_holding(0, COUNT)
    bus.event("opened", 0)
    now = total = 0
    for frame in frames:
        now += _PERIOD_US
        bus.submit(UNIT, request, 0)
        bus.wake(now)
        bus.outbox()
        bus.receive(frame, now + 20_000)
        total += bus.take_results()[0].values[0]
    return total


def run_bus_and_device(frames: list[bytes]) -> int:
    """Run the same with the readings of a device; return the sum of one."""
    points = [
        {"name": f"Point{i}", "address": i, "type": "u16", "scale": [1, 100], "unit": "Cel"}
        for i in range(COUNT)
    ]
    raw = {"model": "twenty", "title": "twenty registers", "source": "this benchmark"}
    blocks = [{"function": 3, "address": 0, "count": COUNT}]
    profile = DeviceProfile({**raw, "met_hardware": False, "blocks": blocks, "points": points})
    device = ModbusDevice("twenty", UNIT, profile)
    bus = Bus(4, "rtu")
    bus.event("opened", 0)
    now = total = 0
    for frame in frames:
        now += _PERIOD_US
        for request, tag in device.poll_requests():
            bus.submit(UNIT, request, tag)
        bus.wake(now)
        bus.outbox()
        bus.receive(frame, now + 20_000)
        for result in bus.take_results():
            device.store_block(result.tag, result.values, result.done_at)
        total += device.readings[0].raw
    return total


def run_pymodbus(frames: list[bytes]) -> int:
    """Run the same with the framer and the PDU classes of pymodbus."""
    framer = FramerRTU(DecodePDU(False))
    total = 0
    for frame in frames:
        framer.buildFrame(ReadHoldingRegistersRequest(address=0, count=COUNT, dev_id=UNIT))
        _, pdu = framer.handleFrame(frame, UNIT, 0)
        assert pdu is not None
        total += pdu.registers[0]
    return total


SIDES: dict[str, Transactions] = {
    "pymodbus, framer and PDU": run_pymodbus,
    "coldloop, Bus": run_bus,
    "coldloop, Bus and Device": run_bus_and_device,
}


def measure(transactions: int, rounds: int) -> dict[str, Record]:
    """Run the sides in turns; return microseconds a transaction."""
    frames = replies(transactions)
    costs: dict[str, list[float]] = {name: [] for name in SIDES}
    sums = set()
    for _ in range(rounds):
        for name, side in SIDES.items():
            started_at = time.perf_counter()
            sums.add(side(frames))
            costs[name].append((time.perf_counter() - started_at) * 1e6 / transactions)
    assert len(sums) == 1, "the sides read different registers"
    return {name: summarise(cost, 2) for name, cost in costs.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.modbus.transaction",
        description="Cost of a Modbus RTU transaction of 20 registers beside pymodbus.",
        epilog="example: python -m benchmarks.modbus.transaction --rounds 15",
    )
    parser.add_argument(
        "--transactions", type=int, default=5000, metavar="N", help="in each round (5000)"
    )
    parser.add_argument(
        "--rounds", type=int, default=7, metavar="N", help="rounds of each side (7)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    about = describe_machine()
    costs = measure(arguments.transactions, arguments.rounds)
    base = costs["pymodbus, framer and PDU"]["min"]
    record: Record = {"machine": about, "registers": COUNT, "us_per_transaction": costs}
    record["ratio"] = {name: round(cost["min"] / base, 2) for name, cost in costs.items()}
    head = ["", "us, best", "median", "ratio"]
    rows = [[n, c["min"], c["median"], f"{record['ratio'][n]:.2f}"] for n, c in costs.items()]
    show(record, arguments.json, head, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
