# SPDX-License-Identifier: Apache-2.0
"""Modbus beside other clients, in one run: CPU time, faults, use of the line.

    python benchmarks/modbus/peers.py [--rounds N] [--seeds N] [--only cpu|faults|wire]

The benchmark compiles libmodbus with gcc and installs pymodbus, umodbus and minimalmodbus into a
temporary venv. Each client is a process at the other end of a pseudo-terminal or a socket; the
server here follows a script (tests/portable/drivers/modbus/faulty_server.py). The output is
Markdown as in docs/engineer/modbus.md.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.modbus import cost, wire
from benchmarks.modbus.peer_programs import ROOT, PeerPrograms, ServerPort
from tests.portable.drivers.modbus.faulty_server import (
    FaultyServer,
    fault_names,
    is_intact,
    registers,
)

CLIENTS = ("libmodbus", "coldloop", "umodbus", "pymodbus", "minimalmodbus")
ADDRESSES = (100, 140, 180, 220)
FAULTY_REQUEST = 1


def _script(
    slave: FaultyServer, fault: str, frame: bytes, request_number: int, late_replies: list[bytes]
) -> list[tuple[int, bytes]]:
    """Return the reply to request number `request_number`. A late reply comes during the next
    request.
    """
    script = slave.script(fault if request_number == FAULTY_REQUEST else "none", frame)
    if not fault.startswith("late"):
        return script
    late = [(1_500, reply) for reply in late_replies]
    if fault == "late, twice":
        late += [(9_500, reply) for reply in late_replies]
    late_replies.clear()
    if request_number == FAULTY_REQUEST:
        late_replies.append(slave.good_reply(frame))
        script = []
    return late + script


def run(command: list[str], port: ServerPort, slave: FaultyServer, fault: str) -> list[str]:
    """Serve one client to its end; request number `FAULTY_REQUEST` meets the fault."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    scheduled: list[tuple[float, int, int, bytes]] = []
    request_number = 0
    buffer = b""
    late_replies: list[bytes] = []
    while client.poll() is None or scheduled:
        now = time.monotonic()
        while scheduled and scheduled[0][0] <= now:
            _, _, fd, data = scheduled.pop(0)
            if fd in port.fds and client.poll() is None:
                os.write(fd, data)
        if client.poll() is not None:
            break
        wait = min(0.02, scheduled[0][0] - time.monotonic()) if scheduled else 0.02
        fd, data = port.read(max(0.0, wait))
        if not data:
            continue
        buffer += data
        size = 8 if slave.rtu else 12
        while len(buffer) >= size:
            if slave.rtu and not is_intact(buffer[:size]):
                buffer = buffer[1:]
                continue
            frame, buffer = buffer[:size], buffer[size:]
            if not fault:
                os.write(fd, slave.good_reply(frame))
                continue
            now = time.monotonic()
            for delay, part in _script(slave, fault, frame, request_number, late_replies):
                scheduled.append(
                    (now + delay / 1e6, len(scheduled) + request_number * 100, fd, part)
                )
            scheduled.sort()
            request_number += 1
    assert client.stdout is not None
    lines = client.stdout.read().split("\n")
    return [line for line in lines if line and line != "ready"]


def faults(programs: PeerPrograms, kind: str, seeds: int) -> None:
    """Print the result of each client for each fault, over real ports."""
    clients = [c for c in CLIENTS if kind == "rtu" or c != "minimalmodbus"]
    print(f"\n### Faults, {kind.upper()}, {seeds} seeds each: four reads, the second meets it\n")
    print("| fault | " + " | ".join(clients) + " |")
    print("|---" * (len(clients) + 1) + "|")
    for fault in fault_names(kind):
        row = []
        for client in clients:
            wrong = good = 0
            for seed in range(seeds):
                port = ServerPort(kind)
                mode = ["faults", *map(str, ADDRESSES)]
                lines = run(
                    programs.command(client, kind, port.path, mode),
                    port,
                    FaultyServer(kind, seed),
                    fault,
                )
                port.close()
                for line, address in zip(lines, ADDRESSES, strict=False):
                    values = line.split(" t")[0].split()
                    if values != ["error"]:
                        is_right = tuple(map(int, values)) == registers(5, address, 20)
                        good += is_right
                        wrong += not is_right
            row.append(f"{good / seeds:.1f}" + (f", **{wrong} wrong**" if wrong else ""))
        print(f"| {fault} | " + " | ".join(row) + " |", flush=True)


def main() -> int:
    """Run the selected parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="rounds of CPU times")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each fault over real ports")
    parser.add_argument("--only", choices=("cpu", "faults", "wire"))
    parser.add_argument("--counts", action="store_true", help="also count calls and instructions")
    parser.add_argument("--short", action="store_true", help="only libmodbus and this project")
    options = parser.parse_args()
    if options.only in (None, "wire"):
        wire.report()
    if options.only == "wire":
        return 0
    with tempfile.TemporaryDirectory() as folder:
        programs = PeerPrograms(Path(folder), not options.short)
        if options.only in (None, "cpu"):
            cost.report(programs, options.rounds, options.counts, options.short)
        if options.only in (None, "faults"):
            for kind in ("rtu", "tcp"):
                faults(programs, kind, options.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
