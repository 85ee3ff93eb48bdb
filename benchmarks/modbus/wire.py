# SPDX-License-Identifier: Apache-2.0
"""Use of the line by the bus, in virtual time: poll plans, utilisation, offline units, stops.

Part of benchmarks/modbus/peers.py. The register map of the ORv3 RPU (243 entries) comes from the
data folder (COLDLOOP_DATA); without it the benchmark leaves out this table.
"""

import csv
import os
from pathlib import Path

from drivers.modbus.plan.block_planner import plan_blocks, plan_time_us
from drivers.modbus.register_span import ReadBlock
from drivers.modbus.wire_time import WireTime
from protocols.time_units import SECOND
from tests.portable.support import serial_line_model as line

DATA = Path(os.environ.get("COLDLOOP_DATA", "../shared/data")) / "orv3_rpu.csv"


class RegisterEntry:
    """A row of the register map."""

    function = 3

    def __init__(self, address: int, registers: int) -> None:
        self.address = address
        self.registers = registers


def plans() -> None:
    """Poll plans of the complete RPU map at 19200 8E1, device turnaround 5 ms."""
    if not DATA.exists():
        print(f"\nNo poll plans of the RPU: {DATA} is missing; set COLDLOOP_DATA.")
        return
    with DATA.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["begin"]]
    entries = [RegisterEntry(int(row["begin"]), int(row["length"])) for row in rows]
    wire = WireTime(19200, 11, 5000)
    single_reads = [ReadBlock(3, e.address, e.registers) for e in entries]
    candidates = [("one by one", single_reads), ("least wire time", plan_blocks(entries, wire))]
    cap = wire.max_read(3, 90_000)
    candidates.append(
        (f"the same, blocks of {cap} at most", plan_blocks(entries, wire, max_block=cap))
    )
    print(f"\n### The RPU's {len(entries)} entries at 19200 8E1, turnaround 5 ms\n")
    print("| plan | requests | wire time s | longest ms |\n|---|---|---|---|")
    for name, blocks in candidates:
        longest = max(wire.read_us(3, block.count) for block in blocks) / 1000
        print(
            f"| {name} | {len(blocks)} | {plan_time_us(blocks, wire) / 1e6:.3f} | {longest:.0f} |"
        )


def line_utilisation() -> None:
    """Transactions on a line with wire time, as a share of the maximum."""
    print("\n### Use of a paced line, 20 registers, turnaround 5 ms, 8E1\n")
    print("| baud | possible tx/s | one unit | five units |\n|---|---|---|---|")
    for baud in (9600, 19200, 115200):
        possible = SECOND / WireTime(baud, 11, 5000).read_us(3, 20)
        shares = [
            line.measure_full_load(baud, units, 10) / 10 / possible
            for units in ([7], [1, 2, 3, 4, 5])
        ]
        print(f"| {baud} | {possible:.1f} | {shares[0]:.1%} | {shares[1]:.1%} |")


def offline_units() -> None:
    """Offline units among ten at 19200 baud, after a minute."""
    print("\n### Dead units of ten at 19200 8E1, polled once a second\n")
    print(
        "| offline units | bus time of probes | longest period of a healthy unit, s "
        "| detected online after, s |"
    )
    print("|---|---|---|---|")
    for count in (0, 1, 3, 5):
        poller = line.PolledUnits(count)
        for _ in range(60):
            poller.cycle()
        poller.longest_gap_us.clear()
        probed = poller.bus.probe_us
        for _ in range(60):
            poller.cycle()
        probed = poller.bus.probe_us - probed
        worst = max(poller.longest_gap_us[unit] for unit in range(count + 1, 11)) / SECOND
        text = f"| {count} | {probed / (60 * SECOND):.1%} | {worst:.3f} |"
        restored_at, poller.servers[0].is_offline = poller.now, False
        poller.last_reply_at.pop((1, 0), None)
        while count and (1, 0) not in poller.last_reply_at:
            poller.cycle()
        print(
            text
            + (
                f" {(poller.last_reply_at[(1, 0)] - restored_at) / SECOND:.1f} |"
                if count
                else " - |"
            )
        )


def stop_latency() -> None:
    """Time from the decision to the first byte of a stop, with a fully loaded bus."""
    print("\n### A stop's first byte after the decision, full load, longest block allowed\n")
    print("| baud | registers a block | transaction ms | worst ms | worst with a dying unit ms |")
    print("|---|---|---|---|---|")
    for baud in (9600, 19200, 115200):
        wire = WireTime(baud, 11, 5000)
        count = wire.max_read(3, 90_000)
        worst = [
            max(
                line.measure_stop_delay(baud, count, dead, when)
                for when in range(0, 300_000, 1_900)
            )
            / 1000
            for dead in (False, True)
        ]
        takes = wire.read_us(3, count) / 1000
        print(f"| {baud} | {count} | {takes:.1f} | {worst[0]:.1f} | {worst[1]:.1f} |")


def report() -> None:
    """Print all figures."""
    plans()
    line_utilisation()
    offline_units()
    stop_latency()
