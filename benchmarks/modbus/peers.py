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
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import tty
import venv
from pathlib import Path

from benchmarks.modbus import whole_agent, wire
from tests.portable.drivers.modbus.faulty_server import (
    FaultyServer,
    fault_names,
    is_intact,
    registers,
)

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TRANSACTIONS = 1500
AGENT_S = 20
PEERS = ("pymodbus==3.16.1", "umodbus==1.0.4", "minimalmodbus==2.1.1", "pyserial")
CLIENTS = ("libmodbus", "coldloop", "umodbus", "pymodbus", "minimalmodbus")
LIBMODBUS_T35 = "libmodbus, with t3.5"
T35_US = 1750  # above 19200 baud
SERIAL_ONLY = (
    LIBMODBUS_T35,
    "python_calls_t35",
    "coldloop_matcher_t35",
    "coldloop_device_no_t35",
    "minimalmodbus",
)
WITH_T35 = ("python_calls_t35", "coldloop_matcher_t35", "coldloop", "coldloop_device")
"""Compared with libmodbus with t3.5 on a serial line, because they keep it."""
ADDRESSES = (100, 140, 180, 220)
FAULTY_REQUEST = 1


class PeerPrograms:
    """Programs of the clients, below a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.binary = folder / "modbus_libmodbus"
        flags = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "libmodbus"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        source = str(HERE / "libmodbus.c")
        subprocess.run(["gcc", "-O2", "-o", str(self.binary), source, *flags], check=True)
        venv.create(folder / "venv", with_pip=True)
        self.python = folder / "venv" / "bin" / "python"
        install = [str(self.python), "-m", "pip", "install", "-q", *PEERS]
        subprocess.run(install, check=True)

    def command(self, client: str, kind: str, port: str, mode: list[str]) -> list[str]:
        """Return the command line of a client."""
        if client == "libmodbus":
            return [str(self.binary), kind, port, *mode]
        if client == LIBMODBUS_T35:
            return [str(self.binary), kind, port, *mode, str(T35_US)]
        is_ours = client.startswith(("coldloop", "python"))
        python = sys.executable if is_ours else str(self.python)
        return [python, str(HERE / "peer.py"), client, kind, port, *mode]


class ServerPort:
    """Server side of a pseudo-terminal or of a socket; the client opens `path`."""

    def __init__(self, kind: str) -> None:
        self.listener: socket.socket | None = None
        self.fds: list[int] = []
        if kind == "tcp":
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.path = str(self.listener.getsockname()[1])
        else:
            master, self.slave = os.openpty()
            tty.setraw(self.slave)
            self.fds = [master]
            self.path = os.ttyname(self.slave)

    def read(self, wait: float) -> tuple[int, bytes]:
        """Return (descriptor, received bytes) within `wait` seconds; b"": nothing."""
        watched: list[int] = list(self.fds)
        if self.listener is not None:
            watched.append(self.listener.fileno())
        ready = select.select(watched, [], [], wait)[0]
        for fd in ready:
            if self.listener is not None and fd == self.listener.fileno():
                sock = self.listener.accept()[0]
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.fds.append(sock.detach())
                continue
            try:
                data = os.read(fd, 512)
            except ConnectionResetError:
                data = b""
            if data:
                return fd, data
            self.fds.remove(fd)
            os.close(fd)
        return -1, b""

    def close(self) -> None:
        """Close all descriptors."""
        for fd in self.fds:
            os.close(fd)
        if self.listener is not None:
            self.listener.close()
        else:
            os.close(self.slave)


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


def cpu(programs: PeerPrograms, rounds: int) -> None:
    """Print the CPU time of the transactions of each client."""
    print("\n### CPU time of one transaction: function 3, 20 registers\n")
    print(f"Load at the start: {os.getloadavg()[0]:.1f}\n")
    print("| client | TCP us, median (min) | x libmodbus | RTU us, median (min) | x its like |")
    print("|---|---|---|---|---|")
    durations: dict[tuple[str, str], list[float]] = {}
    ours = (
        "python_calls_t35",
        "coldloop_matcher",
        "coldloop_matcher_t35",
        "coldloop",
        "coldloop_device",
        "coldloop_device_no_t35",
    )
    python_clients = ("umodbus", "pymodbus", "pymodbus_async", "minimalmodbus")
    clients = ("libmodbus", LIBMODBUS_T35, *ours, *python_clients)
    for _ in range(rounds):
        for kind in ("tcp", "rtu"):
            for client in clients:
                if kind == "tcp" and client in SERIAL_ONLY:
                    continue
                count = TRANSACTIONS if client != "minimalmodbus" else TRANSACTIONS // 10
                if client.startswith("pymodbus") and kind == "rtu":
                    count = TRANSACTIONS // 5
                port = ServerPort(kind)
                command = programs.command(client, kind, port.path, ["cpu", str(count)])
                lines = run(command, port, FaultyServer(kind, 1), "")
                port.close()
                if lines:  # on a busy machine a client can time out; then the round has no figure
                    durations.setdefault((client, kind), []).append(float(lines[0]))
    for client in clients:
        row = [client]
        for kind in ("tcp", "rtu"):
            base = LIBMODBUS_T35 if kind == "rtu" and client in WITH_T35 else "libmodbus"
            own_times, base_times = durations.get((client, kind)), durations[(base, kind)]
            if own_times is None:
                row += ["-", "-"]
                continue
            ratio = statistics.median(own_times) / statistics.median(base_times)
            minimum = min(own_times) / min(base_times)
            row += [
                f"{statistics.median(own_times):.1f} ({min(own_times):.1f})",
                f"{ratio:.2f} ({minimum:.2f})",
            ]
        print("| " + " | ".join(row) + " |")
    print(f"\nLoad at the end: {os.getloadavg()[0]:.1f}")
    agent = whole_agent.measure(AGENT_S)
    text = (
        "{us_a_transaction} us for each of {transactions} transactions, {cpu_percent} % of a core"
    )
    print("\nThe whole agent with its runtime: " + text.format(**agent))


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
    parser.add_argument("--rounds", type=int, default=5, help="rounds of CPU times")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each fault over real ports")
    parser.add_argument("--only", choices=("cpu", "faults", "wire"))
    options = parser.parse_args()
    if options.only in (None, "wire"):
        wire.report()
    if options.only == "wire":
        return 0
    with tempfile.TemporaryDirectory() as folder:
        programs = PeerPrograms(Path(folder))
        if options.only in (None, "cpu"):
            cpu(programs, options.rounds)
        if options.only in (None, "faults"):
            for kind in ("rtu", "tcp"):
                faults(programs, kind, options.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
