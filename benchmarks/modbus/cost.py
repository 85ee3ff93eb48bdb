# SPDX-License-Identifier: Apache-2.0
"""CPU time of one Modbus transaction of each client, in rounds in turn.

Part of benchmarks/modbus/peers.py. Each client is one process for all rounds. It measures its own
CPU time, user and system, so the time of the server and the wait for a processor do not count. In
each round each client makes the same number of transactions, one client after the other. The ratio
to libmodbus is taken in each round, and the median of the rounds is shown, so that a load that
comes or goes acts on both sides.

A load also makes the caches of the processor cold. This raises the time of the larger program more,
and no statistics removes it. The number of system calls (strace) and of the instructions outside
the kernel (valgrind) does not depend on the load.
"""

import os
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks.modbus import whole_agent
from benchmarks.modbus.peer_programs import LIBMODBUS_T35, ROOT, PeerPrograms, ServerPort
from tests.portable.drivers.modbus.faulty_server import FaultyServer

LIBMODBUS = "libmodbus"
OURS = (
    "python_calls",
    "python_calls_t35",
    "python_blocking_t35",
    "coldloop_matcher",
    "coldloop_matcher_t35",
    "coldloop",
    "coldloop_device",
    "coldloop_device_no_t35",
    "coldloop_device_same",
    "coldloop_device_same_no_t35",
)
COMPILED = ROOT / "build" / "compiled"
"""If `make compiled` was run, there are rows of the compiled modules."""
OF_COMPILED = ("coldloop_device_compiled", "coldloop_device_no_t35_compiled")
OTHERS = ("umodbus", "pymodbus", "pymodbus_async", "minimalmodbus")
SLOW = {"pymodbus": 5, "pymodbus_async": 5, "minimalmodbus": 10}
SERIAL_ONLY = (LIBMODBUS_T35, "minimalmodbus")
WITH_T35 = ("coldloop", "coldloop_device", "coldloop_device_same", "coldloop_device_compiled")
"""Compared with libmodbus with t3.5 on a serial line, because they keep it."""
TRANSACTIONS = 200
_AGENT_S = 20
_COUNTED = (100, 300)  # transactions of the two runs whose difference is counted


def base_of(client: str, kind: str) -> str:
    """Return the client with which `client` is compared."""
    has_t35 = client in WITH_T35 or client.endswith(("calls_t35", "blocking_t35", "matcher_t35"))
    return LIBMODBUS_T35 if kind == "rtu" and has_t35 else LIBMODBUS


def clients_of(kind: str, is_short: bool) -> list[str]:
    """Return the clients of a kind of port."""
    own = [*OURS, *(OF_COMPILED if COMPILED.exists() else ())]
    known = [LIBMODBUS, LIBMODBUS_T35, *own, *(() if is_short else OTHERS)]
    if kind == "rtu":
        return known
    return [c for c in known if c not in SERIAL_ONLY and "t35" not in c]


class Client:
    """A running client, its port and the server of it."""

    def __init__(
        self, command: list[str], port: ServerPort, is_same: bool, code: Path = ROOT
    ) -> None:
        environment = dict(os.environ, PYTHONPATH=str(code))
        self.port = port
        self.is_same = is_same
        self.served = 0
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._server = FaultyServer("rtu" if port.listener is None else "tcp", 1)
        self._text = b""
        self._replies: dict[bytes, bytes] = {}

    def round(self, count: int) -> float:
        """Let the client make `count` transactions; return its microseconds for each."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"%d\n" % count)
        self.process.stdin.flush()
        return int(self.answer()) / 1000 / count

    def answer(self) -> str:
        """Serve the client until it prints a line; return it. Raises `EOFError`."""
        assert self.process.stdout is not None
        out = self.process.stdout.fileno()
        while b"\n" not in self._text:
            fd, data = self.port.read(1.0, out)
            if fd == out:
                self._text += data
                if not data:
                    raise EOFError("the client ended")
            elif data:
                os.write(fd, self._reply(data))
        line, _, self._text = self._text.partition(b"\n")
        return line.decode()

    def _reply(self, frame: bytes) -> bytes:
        """Return a good reply. Its values change with each, unless the server is the same."""
        self.served += 1
        tid, unit, function, address, count = self._server.parse(frame)
        number = 0 if self.is_same else self.served // 10 % 97
        key = bytes((unit, number))
        body = self._replies.get(key)
        if body is None:
            words = [(address + i) * (number + 3) & 0xFFFF for i in range(count)]
            body = bytes((function, 2 * count)) + b"".join(w.to_bytes(2, "big") for w in words)
            self._replies[key] = body
        return self._server.wrap(tid, unit, body)

    def close(self) -> None:
        """End the client and its port."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
        self.port.close()


def start(programs: PeerPrograms, name: str, kind: str, tool: list[str] | None = None) -> Client:
    """Start a client that is ready."""
    port = ServerPort(kind)
    library = name.replace("_same", "").replace("_compiled", "")
    command = programs.command(library, kind, port.path, ["cpu"])
    code = COMPILED if name.endswith("_compiled") else ROOT
    client = Client([*(tool or []), *command], port, "same" in name, code)
    while client.answer() != "ready":
        pass
    return client


def measure(
    programs: PeerPrograms, kind: str, names: list[str], rounds: int
) -> dict[str, list[float]]:
    """Return microseconds a transaction, for each client and round."""
    running = {name: start(programs, name, kind) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    for name, client in running.items():
        client.round(TRANSACTIONS // SLOW.get(name, 1))  # the first one fills caches
    for _ in range(rounds):
        for name, client in running.items():
            times[name].append(client.round(TRANSACTIONS // SLOW.get(name, 1)))
    for client in running.values():
        client.close()
    return times


def _spread(values: list[float]) -> str:
    """Return the median and the quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def show_times(programs: PeerPrograms, rounds: int, is_short: bool) -> None:
    """Print the CPU time of the transactions of each client."""
    print("\n### CPU time of one transaction: function 3, 20 registers\n")
    print(f"{rounds} rounds of {TRANSACTIONS} transactions; medians, in brackets the quartiles.")
    for kind in ("tcp", "rtu"):
        load = os.getloadavg()[0]
        names = clients_of(kind, is_short)
        times = measure(programs, kind, names, rounds)
        print(f"\n{kind.upper()}, load {load:.1f} to {os.getloadavg()[0]:.1f}\n")
        print("| client | us | compared with | ratio in the same round |")
        print("|---|---|---|---|")
        for name in names:
            base = base_of(name, kind)
            ratios = [own / other for own, other in zip(times[name], times[base], strict=True)]
            print(f"| {name} | {_spread(times[name])} | {base} | {_spread(ratios)} |")


def show_counts(programs: PeerPrograms, is_short: bool) -> None:
    """Print system calls and instructions of a transaction, as far as the tools exist."""
    print("\n### System calls and instructions outside the kernel, for each transaction\n")
    print("| client | port | system calls | instructions |\n|---|---|---|---|")
    for kind in ("tcp", "rtu"):
        for name in clients_of(kind, is_short):
            calls = _difference(programs, name, kind, _system_calls)
            instructions = _difference(programs, name, kind, _instructions)
            print(f"| {name} | {kind} | {calls:.1f} | {instructions:,.0f} |", flush=True)


def _difference(programs: PeerPrograms, name: str, kind: str, count_of: object) -> float:
    """Return the count of one transaction; not a number if a client timed out under the tool."""
    few, many = _COUNTED
    try:
        counts = [count_of(programs, name, kind, n) for n in _COUNTED]  # type: ignore[operator]
    except EOFError:
        return float("nan")
    return float(counts[1] - counts[0]) / (many - few)


def _run_counted(programs: PeerPrograms, name: str, kind: str, tool: list[str], n: int) -> None:
    client = start(programs, name, kind, tool)
    client.round(n)
    client.close()


def _system_calls(programs: PeerPrograms, name: str, kind: str, n: int) -> int:
    if shutil.which("strace") is None:
        return 0
    with tempfile.NamedTemporaryFile("r") as file:
        _run_counted(programs, name, kind, ["strace", "-f", "-c", "-o", file.name], n)
        text = Path(file.name).read_text(encoding="ascii")
    total = re.search(r"^\S+\s+\S+\s+\S+\s+(\d+)\s.*total$", text, re.MULTILINE)
    assert total is not None, text
    return int(total[1])


def _instructions(programs: PeerPrograms, name: str, kind: str, n: int) -> int:
    if shutil.which("valgrind") is None:
        return 0
    with tempfile.NamedTemporaryFile("r") as file:
        tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--log-file={file.name}"]
        _run_counted(programs, name, kind, [*tool, "--cachegrind-out-file=/dev/null"], n)
        text = Path(file.name).read_text(encoding="utf-8")
    total = re.search(r"I\s+refs:\s+([\d,]+)", text)
    assert total is not None, text
    return int(total[1].replace(",", ""))


def report(programs: PeerPrograms, rounds: int, has_counts: bool, is_short: bool) -> None:
    """Print all figures."""
    show_times(programs, rounds, is_short)
    if has_counts:
        show_counts(programs, is_short)
    if is_short:
        return
    agent = whole_agent.measure(_AGENT_S)
    text = (
        "{us_a_transaction} us for each of {transactions} transactions, {cpu_percent} % of a core"
    )
    print("\nThe whole agent with its runtime: " + text.format(**agent))
