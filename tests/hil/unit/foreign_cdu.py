# SPDX-License-Identifier: Apache-2.0
"""A CDU that coldloop has never seen: a server of pymodbus with one address and eight registers.

Not an emulated device of the bench: it shares no code with it. It serves in a thread of the test,
by the clock of the test: a pause that the test skips has passed for the CDU too.
Faults: `alarm` (an alarm is on), `deaf` (confirms
writes of the valve without effect), `sticky` (the pump keeps the first written value until the
valve is written), `jammed` (the valve keeps the first written value), `reversed` (the valve warms
the supply), `backward` (more pump speed lowers the pressure), `no-value`
and `zero` (measured values are the code of a broken sensor, or 0), `lag` (a read shows a written
pump speed 1.5 s later), `slow` (a reply takes 0.5 s), `swapped` (the six values are floats with the
low word first, from 0 on; status and alarm word follow), `quick` (the supply has a time constant of
1 s), `idle` (no heat load: the valve has no effect), `trips` (an alarm comes with a valve above
43 %), `busier` (the heat load rises once, with the first valve above 43 %), `runaway` (the supply
warms by 60 K then), `plunge` (it cools by 60 K), `interlock` (a moved output refuses its first
value), `few` (it gives three registers in a reply), `linked` (a write of the pump opens the valve),
`crossed` (a write of an output moves the other one), `late` (as `linked`, 0.5 s after it),
`shifted` (each write lands in the next register, as behind a wrong gateway).
Registers, each 0.1 of its unit:

    0 supply °C   1 return °C   2 flow L/min   3 differential pressure kPa
    4 pump speed command %   5 valve command %   6 status   7 alarm word

Physics, each 0.1 s: the flow follows the pump speed, the pressure its square. The supply moves to
52 °C less 0.4 K for each percent of the valve, with a time constant of 8 s.
"""

import asyncio
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

_STEP_S, _TIME_CONSTANT_S, _SLEW = 0.1, 8.0, 1.5


class Registers:
    """The registers as the server asks for them; a write to a measured one is refused."""

    def __init__(self, faults: list[str], now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._stepped_s = now_s()
        self.supply_c, self.speed, self.valve = 36.0, 60.0, 40.0
        self.faults = faults
        self.words = [360, 420, 600, 500, 600, 400, 3, int("alarm" in faults)]
        self._load_k = 0.0
        self._is_pump_written = self._is_valve_written = False
        self._shown_pump, self._shown_at = 600, 0.0
        self._opens_at = 0.0

    def catch_up(self) -> None:
        """Advance the CDU to the present time."""
        while self._stepped_s + _STEP_S <= self._now_s():
            self._stepped_s += _STEP_S
            self._step()

    def _step(self) -> None:
        self.speed += max(-_SLEW, min(_SLEW, self.words[4] / 10 - self.speed))
        self.valve += max(-_SLEW, min(_SLEW, self.words[5] / 10 - self.valve))
        sign = -1.0 if "reversed" in self.faults else 1.0
        target_c = 36.0 if "idle" in self.faults else 36.0 - sign * 0.4 * (self.valve - 40.0)
        if self.valve > 43.0 and "runaway" in self.faults:
            target_c += 60.0
        if self.valve > 43.0 and "busier" in self.faults:
            self._load_k = 1.2
        target_c += self._load_k
        if self.valve > 43.0 and "plunge" in self.faults:
            target_c -= 60.0
        self.words[7] |= int(self.valve > 43.0 and "trips" in self.faults)
        lag_s = _TIME_CONSTANT_S if "quick" not in self.faults else 1.0
        if "late" in self.faults and 0.0 < self._opens_at < self._stepped_s:
            self.words[5], self._opens_at = 1000, 0.0
        self.supply_c += (target_c - self.supply_c) * _STEP_S / lag_s
        self.words[0] = round(10 * self.supply_c)
        self.words[1] = self.words[0] + 60
        self.words[2] = round(10 * 10 * self.speed / 10)
        speed = self.speed if "backward" not in self.faults else 120.0 - self.speed
        self.words[3] = round(10 * 140.0 * (speed / 100) ** 2)

    def read(self, is_shown: bool = True) -> list[int]:
        """Return the registers as a client sees them."""
        words = list(self.words)
        if "no-value" in self.faults or "zero" in self.faults:
            words[:4] = [0 if "zero" in self.faults else 0x8000] * 4
        if "lag" in self.faults and is_shown:
            if self._now_s() > self._shown_at:
                self._shown_pump = words[4]
            words[4] = self._shown_pump
        if "swapped" in self.faults:
            floats = [struct.unpack(">HH", struct.pack(">f", (w + 0.37) / 10)) for w in words[:6]]
            words = [word for high, low in floats for word in (low, high)] + words[6:]
        return words

    async def serve(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        current: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Answer a request: the present registers, or a write to 4 and 5."""
        if "slow" in self.faults:
            await asyncio.sleep(0.5)
        self.catch_up()
        if values is None and "few" in self.faults and count > 3:
            return ExcCodes.ILLEGAL_VALUE
        if values is None:
            current[:] = self.read(is_shown=function in (3, 4))
            return None
        written = [int(word) for word in values]
        if "lag" in self.faults:
            self._shown_at = self._now_s() + 1.5
        if "swapped" in self.faults:
            return self._write_float(address, written)
        if "shifted" in self.faults:
            self.words[address + 1] = written[0]
            return None
        if not address >= 4 or address + len(written) > 6:
            return ExcCodes.ILLEGAL_ADDRESS
        if any(not 0 <= word <= 1000 for word in written):
            return ExcCodes.ILLEGAL_VALUE
        if "interlock" in self.faults and written[0] == {4: 600, 5: 400}[address]:
            return ExcCodes.DEVICE_FAILURE
        for i, word in enumerate(written, address):
            is_kept = i == 4 and self._is_pump_written and "sticky" in self.faults
            is_kept = is_kept or (i == 5 and self._is_valve_written and "jammed" in self.faults)
            if not is_kept and not (i == 5 and "deaf" in self.faults):
                self.words[i] = word
            self._is_valve_written = self._is_valve_written or i == 5
        self._is_pump_written = address == 4
        self._move_other(address)
        shown: list[Any] = values
        shown[:] = self.words[address : address + len(written)]
        return None

    def _move_other(self, address: int) -> None:
        """Move the other output, as a CDU that goes to manual mode."""
        if {"linked", "crossed"} & set(self.faults) and address == 4:
            self.words[5] = 1000
        if "crossed" in self.faults and address == 5:
            self.words[4] = 300
        if address == 4:
            self._opens_at = self._now_s() + 0.5

    def _write_float(self, address: int, written: list[int]) -> ExcCodes | None:
        if address not in (8, 10) or len(written) != 2:
            return ExcCodes.ILLEGAL_ADDRESS
        value = struct.unpack(">f", struct.pack(">HH", written[1], written[0]))[0]
        if not 0 <= value <= 100:
            return ExcCodes.ILLEGAL_VALUE
        self.words[address // 2] = round(10 * value - 0.37)
        return None


class SkippedTime:
    """Stands in for the module `time` of the code under test; its pauses take no real time.

    Not virtual time: between two pauses it follows the real clock, so code that polls goes on. For
    several threads.
    """

    def __init__(self) -> None:
        self._skipped_s = 0.0
        self._lock = threading.Lock()

    def sleep(self, pause_s: float) -> None:
        """Advance the clock by `pause_s`, in seconds; other threads get their turn."""
        assert pause_s >= 0.0
        with self._lock:
            self._skipped_s += pause_s
        time.sleep(0)

    def monotonic(self) -> float:
        """Return seconds since a fixed moment."""
        with self._lock:
            return time.monotonic() + self._skipped_s


class ForeignCdu:
    """The CDU at a free port of the loopback, as a context. `now_s` is its clock in seconds."""

    def __init__(self, faults: list[str], now_s: Callable[[], float]) -> None:
        self.address = ""
        self._registers = Registers(faults, now_s)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    @property
    def pump_word(self) -> int:
        """The command of the pump that it holds, whatever a read shows."""
        return self._registers.words[4]

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(60)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    async def _serve(self) -> ModbusTcpServer:
        data = SimData(0, values=self._registers.read(), datatype=DataType.REGISTERS)
        device = SimDevice(7, simdata=[data], action=self._registers.serve)
        server = ModbusTcpServer(device, address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        transport: Any = server.transport
        self.address = f"tcp:127.0.0.1:{transport.sockets[0].getsockname()[1]}"
        return server

    async def _shut_down(self) -> None:
        server: Any = self._server
        await server.shutdown()
