# SPDX-License-Identifier: Apache-2.0
"""The shell of the emulated RP2040 against a chip by a script: order of inputs and outputs."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from agent.port_numbers import CONSOLE, FIRST_BUS, RECEIVER, STATE
from agent.telemetry.status import STATUS_FILE
from drivers.ports.cpython.emulator_pipe import EmulatorOutput
from hil.kernel.world import World
from hil.shells import dut_rp2040
from hil.shells.dut_rp2040 import AHEAD_US, WINDOW_US, Rp2040Dut
from hil.shells.virtual import VirtualShell

CONFIG: dict[str, Any] = {
    "state": "store:/x",
    "receiver": {"port": "serial:/r?baud=115200"},
    "buses": {"bus": "serial:/b?baud=19200"},
}


class FakeChip:
    """A chip that writes a byte on the bus at each time of `outputs` (ns since power on)."""

    outputs: ClassVar[list[int]] = []
    is_running = True

    def __init__(self, _command: list[str]) -> None:
        self.now = self.on = 0
        self.runs: list[tuple[int, int]] = []
        self.inputs: list[tuple[int, bytes]] = []

    def post(self, kind: bytes, number: int = 0, value: int = 0, data: bytes = b"") -> None:
        if kind == b"U":
            self.inputs.append((self.now - self.on, data))

    def request(
        self, kind: bytes, number: int = 0, value: int = 0, data: bytes = b""
    ) -> list[EmulatorOutput]:
        if kind == b"1":
            self.on = self.now
        if kind == b"S":
            return [EmulatorOutput(b"s", 0, self.now, b"{}")]
        return self._run(number, value) if kind == b"R" else []

    def _run(self, number: int, until: int) -> list[EmulatorOutput]:
        self.runs.append((self.now - self.on, until - self.on))
        if self.on == 0:  # the first start
            self.now = until
            return [EmulatorOutput(b"c", 0, until, b"port 4: opened: uart:1\n")]
        found = [at + self.on for at in self.outputs if self.now < at + self.on <= until]
        if found and number:
            until = min(until, found[0] + number * 100_000)
        self.now = until
        bytes_out = [EmulatorOutput(b"u", 1, at, b"x") for at in found if at <= until]
        return [*bytes_out, EmulatorOutput(b"t", 0, until, b"")]

    def close(self) -> None:
        self.is_running = False


class Silent:
    """A console without a reader."""

    def write(self, data: bytes) -> None:
        pass


class Answer:
    """An endpoint that answers each write 2 ms later."""

    def __init__(self, shell: VirtualShell, port: int) -> None:
        self.shell, self.port = shell, port
        self.written: list[tuple[int, bytes]] = []

    def open(self, address: bytes) -> None:
        pass

    def write(self, data: bytes) -> None:
        self.written.append((self.shell.world.now, data))
        world = self.shell.world
        world.schedule(world.now + 2000, self.shell.deliver, self.port, b"r", rank=self.port)

    def close(self) -> None:
        pass


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> tuple[VirtualShell, FakeChip, Answer]:
    monkeypatch.setattr(dut_rp2040, "EmulatorPipe", FakeChip)
    monkeypatch.setattr(Rp2040Dut, "_build", lambda _: None)
    monkeypatch.delenv(dut_rp2040.FLASH_VARIABLE, raising=False)
    world = World(1, 0)
    dut = Rp2040Dut(dict(CONFIG), {})
    dut.look_ahead(world)
    shell = VirtualShell(world, dut)
    answer = Answer(shell, FIRST_BUS)
    shell.endpoints = {FIRST_BUS: answer, RECEIVER: Answer(shell, RECEIVER)}
    pipe = dut._pipe
    assert isinstance(pipe, FakeChip)
    pipe.runs.clear()
    return shell, pipe, answer


def test_outputs_reach_the_bench_a_window_late_at_most(
    bench: tuple[VirtualShell, FakeChip, Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, pipe, answer = bench
    monkeypatch.setattr(FakeChip, "outputs", [3_000_000, 3_400_000, 9_000_000])
    shell.start()
    shell.run(30_000)
    assert answer.written == [(3000 + WINDOW_US, b"xx"), (9000 + WINDOW_US, b"x")]
    replies = [at for at, data in pipe.inputs if data == b"r"]
    assert replies == [5_500_000, 11_500_000]
    assert len(pipe.runs) < 12


def test_the_chip_never_runs_beyond_an_event_of_the_bench(
    bench: tuple[VirtualShell, FakeChip, Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, pipe, _ = bench
    monkeypatch.setattr(FakeChip, "outputs", [])
    for at in (1234, 1234, 7000, 40_000):
        shell.world.schedule(at, shell.deliver, RECEIVER, b"$", rank=RECEIVER)
    shell.start()
    shell.run(60_000)
    assert pipe.inputs == [(at * 1000, b"$") for at in (1234, 1234, 7000, 40_000)]
    assert all(end - begin <= AHEAD_US * 1000 for begin, end in pipe.runs)


def test_a_power_cut_is_at_the_time_of_the_bench(
    bench: tuple[VirtualShell, FakeChip, Answer],
) -> None:
    shell, pipe, _ = bench
    cuts: list[int] = []
    dut = shell._dut
    assert isinstance(dut, Rp2040Dut)
    request = pipe.request

    def note(kind: bytes, number: int = 0, value: int = 0, data: bytes = b"") -> Any:
        if kind == b"0":
            cuts.append(value - pipe.on)
        return request(kind, number, value, data)

    pipe.request = note  # type: ignore[method-assign]
    shell.start()
    shell.world.schedule(12_345, dut.close)
    shell.run(12_345)
    assert cuts == [12_345_000]
    assert not Path(dut.flash).exists()


def test_a_status_has_the_time_of_the_bench_after_a_reset(
    bench: tuple[VirtualShell, FakeChip, Answer],
) -> None:
    """The timer of the chip begins again with each start."""
    shell, pipe, _ = bench
    dut = shell._dut
    assert isinstance(dut, Rp2040Dut)
    statuses: list[int] = []

    class Console:
        def write(self, data: bytes) -> None:
            statuses.append(json.loads(data.split(b"\0", 1)[1])["mono_us"])

    shell.endpoints[STATE] = Console()  # type: ignore[assignment]
    shell.endpoints[CONSOLE] = Silent()
    request = pipe.request

    def put_out(kind: bytes, number: int = 0, value: int = 0, data: bytes = b"") -> Any:
        found = [*request(kind, number, value, data)]
        at = pipe.now - pipe.on
        if kind == b"R" and at == 20_000_000:
            found.insert(0, EmulatorOutput(b"r", 1, pipe.now, b"\0"))
        if kind == b"R" and at in (10_000_000, 30_000_000):
            text = STATUS_FILE.encode() + b'\0{"mono_us":%d}' % (at % 20_000_000 // 1000)
            found.insert(0, EmulatorOutput(b"c", 0, pipe.now, text))
        return found

    pipe.request = put_out  # type: ignore[method-assign]
    shell.start()
    shell.run(35_000)
    assert statuses == [10_000, 30_000]


def test_no_line_of_the_console_is_lost(bench: tuple[VirtualShell, FakeChip, Answer]) -> None:
    """A crash of the agent cuts the record of its status; the lines of it reach the bench."""
    dut = bench[0]._dut
    assert isinstance(dut, Rp2040Dut)
    crash = (
        b"Traceback (most recent call last):\n",
        b'  File "agent.runtime.io_loop", line 442, in _12\n',
        b"MemoryError: memory allocation failed, allocating 3713 bytes\n",
        b"coldloop agent: starts again\n",
        b"/flash/unit.json: [Errno 2] ENOENT\n",
        b"port 5: opened: store:/flash/store\n",
    )
    console = dut_rp2040._STATUS_HEAD + b'{"version":1,"mono_us":' + b"".join(crash)
    console += dut_rp2040._STATUS_HEAD + b'{"version":1,"mono_us":port 1: opened: uart:2\n5}'
    actions = [
        action
        for at in range(0, len(console), 64)
        for action in dut._on_console(console[at : at + 64])
    ]
    lines = [line for port, _, line in actions if port == CONSOLE]
    assert lines == [*(line.strip() for line in crash), b"port 1: opened: uart:2"]
    assert [json.loads(data[12:])["version"] for port, _, data in actions if port == STATE] == [1]
