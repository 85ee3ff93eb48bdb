"""Modbus beside its peers, in one run: CPU time, faults, and what a bus makes of the wire.

    python benchmarks/modbus_peers.py [--rounds N] [--seeds N] [--only cpu|faults|wire]

libmodbus is compiled with gcc; pymodbus, umodbus and minimalmodbus are installed into a throw-away
venv below a temporary folder. Each client is a process of its own at the other end of a
pseudo-terminal or a socket; here is the scripted slave (tests/portable/drivers/modbus/faulty_server.py). The
figures are printed as Markdown, as they stand in docs/engineer/modbus.md.
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

from benchmarks import modbus_wire
from tests.portable.drivers.modbus.faulty_server import Slave, intact, names, registers

HERE = Path(__file__).parent
ROOT = HERE.parent
TRANSACTIONS = 1500
PEERS = ("pymodbus==3.16.1", "umodbus==1.0.4", "minimalmodbus==2.1.1", "pyserial")
CLIENTS = ("libmodbus", "coldloop", "umodbus", "pymodbus", "minimalmodbus")
SILENT = "libmodbus, with t3.5"
T35_US = 1750  # above 19200 baud
SERIAL_ONLY = (SILENT, "minimalmodbus")
ADDRESSES = (100, 140, 180, 220)
FAULTY = 1


class Workshop:
    """The clients' programs, made below a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.binary = folder / "modbus_libmodbus"
        flags = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "libmodbus"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        source = str(HERE / "modbus_libmodbus.c")
        subprocess.run(["gcc", "-O2", "-o", str(self.binary), source, *flags], check=True)
        venv.create(folder / "venv", with_pip=True)
        self.python = folder / "venv" / "bin" / "python"
        install = [str(self.python), "-m", "pip", "install", "-q", *PEERS]
        subprocess.run(install, check=True)

    def command(self, client: str, kind: str, port: str, what: list[str]) -> list[str]:
        """How one client is started."""
        if client == "libmodbus":
            return [str(self.binary), kind, port, *what]
        if client == SILENT:
            return [str(self.binary), kind, port, *what, str(T35_US)]
        python = sys.executable if client.startswith("coldloop") else str(self.python)
        return [python, str(HERE / "modbus_peer.py"), client, kind, port, *what]


class Port:
    """The slave's end of a pseudo-terminal or of a socket; `path` is what the client opens."""

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
        """(descriptor, what has come) within `wait` seconds; nothing is b""."""
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
        """Close everything."""
        for fd in self.fds:
            os.close(fd)
        if self.listener is not None:
            self.listener.close()
        else:
            os.close(self.slave)


def _script(
    slave: Slave, fault: str, frame: bytes, heard: int, owed: list[bytes]
) -> list[tuple[int, bytes]]:
    """What comes back to request number `heard`; a late reply comes into the wait for the next."""
    script = slave.script(fault if heard == FAULTY else "none", frame)
    if not fault.startswith("late"):
        return script
    late = [(1_500, old) for old in owed]
    if fault == "late, twice":
        late += [(9_500, old) for old in owed]
    owed.clear()
    if heard == FAULTY:
        owed.append(slave.good(frame))
        script = []
    return late + script


def run(command: list[str], port: Port, slave: Slave, fault: str) -> list[str]:
    """Serve one client to its end; the request number `FAULTY` meets the fault."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    coming: list[tuple[float, int, int, bytes]] = []
    heard = 0
    held = b""
    owed: list[bytes] = []
    while client.poll() is None or coming:
        now = time.monotonic()
        while coming and coming[0][0] <= now:
            _, _, fd, data = coming.pop(0)
            if fd in port.fds and client.poll() is None:
                os.write(fd, data)
        if client.poll() is not None:
            break
        wait = min(0.02, coming[0][0] - time.monotonic()) if coming else 0.02
        fd, data = port.read(max(0.0, wait))
        if not data:
            continue
        held += data
        size = 8 if slave.rtu else 12
        while len(held) >= size:
            if slave.rtu and not intact(held[:size]):
                held = held[1:]
                continue
            frame, held = held[:size], held[size:]
            if not fault:
                os.write(fd, slave.good(frame))
                continue
            now = time.monotonic()
            for delay, part in _script(slave, fault, frame, heard, owed):
                coming.append((now + delay / 1e6, len(coming) + heard * 100, fd, part))
            coming.sort()
            heard += 1
    assert client.stdout is not None
    lines = client.stdout.read().split("\n")
    return [line for line in lines if line and line != "ready"]


def cpu(shop: Workshop, rounds: int) -> None:
    """Print the CPU time of each client's transactions."""
    print("\n### CPU time of one transaction: function 3, 20 registers, decoded\n")
    print("| client | TCP us, median (min) | x libmodbus | RTU us, median (min) | x libmodbus |")
    print("|---|---|---|---|---|")
    took: dict[tuple[str, str], list[float]] = {}
    clients = ("libmodbus", SILENT, "coldloop_matcher", *CLIENTS[1:])
    for _ in range(rounds):
        for kind in ("tcp", "rtu"):
            for client in clients:
                if kind == "tcp" and client in SERIAL_ONLY:
                    continue
                count = TRANSACTIONS if client != "minimalmodbus" else TRANSACTIONS // 10
                if client == "pymodbus" and kind == "rtu":
                    count = TRANSACTIONS // 5
                port = Port(kind)
                command = shop.command(client, kind, port.path, ["cpu", str(count)])
                lines = run(command, port, Slave(kind, 1), "")
                port.close()
                if lines:  # a busy machine may let a client time out; then the round has no figure
                    took.setdefault((client, kind), []).append(float(lines[0]))
    for client in clients:
        row = [client]
        for kind in ("tcp", "rtu"):
            mine, theirs = took.get((client, kind)), took[("libmodbus", kind)]
            if mine is None:
                row += ["-", "-"]
                continue
            ratio = statistics.median(mine) / statistics.median(theirs)
            least = min(mine) / min(theirs)
            row += [
                f"{statistics.median(mine):.1f} ({min(mine):.1f})",
                f"{ratio:.2f} ({least:.2f})",
            ]
        print("| " + " | ".join(row) + " |")


def faults(shop: Workshop, kind: str, seeds: int) -> None:
    """Print what each client makes of each fault, over real ports."""
    clients = [c for c in CLIENTS if kind == "rtu" or c != "minimalmodbus"]
    print(f"\n### Faults, {kind.upper()}, {seeds} seeds each: four reads, the second meets it\n")
    print("| fault | " + " | ".join(clients) + " |")
    print("|---" * (len(clients) + 1) + "|")
    for fault in names(kind):
        row = []
        for client in clients:
            wrong = good = 0
            for seed in range(seeds):
                port = Port(kind)
                what = ["faults", *map(str, ADDRESSES)]
                lines = run(
                    shop.command(client, kind, port.path, what), port, Slave(kind, seed), fault
                )
                port.close()
                for line, address in zip(lines, ADDRESSES, strict=False):
                    words = line.split(" t")[0].split()
                    if words != ["error"]:
                        right = tuple(map(int, words)) == registers(5, address, 20)
                        good += right
                        wrong += not right
            row.append(f"{good / seeds:.1f}" + (f", **{wrong} wrong**" if wrong else ""))
        print(f"| {fault} | " + " | ".join(row) + " |", flush=True)


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of CPU times")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each fault over real ports")
    parser.add_argument("--only", choices=("cpu", "faults", "wire"))
    options = parser.parse_args()
    if options.only in (None, "wire"):
        modbus_wire.report()
    if options.only == "wire":
        return 0
    with tempfile.TemporaryDirectory() as folder:
        shop = Workshop(Path(folder))
        if options.only in (None, "cpu"):
            cpu(shop, options.rounds)
        if options.only in (None, "faults"):
            for kind in ("rtu", "tcp"):
                faults(shop, kind, options.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
