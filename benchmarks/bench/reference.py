# SPDX-License-Identifier: Apache-2.0
"""A small program of the same job, as a measure for the speed of virtual time.

Not a part of the product and not a correct controller. It has no retries, no checks of late
replies, no faults, no configuration and no components. It shows what the same traffic costs in the
simplest code: a heap of events, devices of pymodbus and pynmea2 behind a byte interface, an agent
with 10 ticks a second and two PI loops, a first-order plant, and SHA-256 over all bytes in and out
of the agent.

`ReferenceTraffic` gives the transactions, registers and NMEA sentences of a virtual second. Nothing
is cached: each request is decoded and each reply is built again. `python -m benchmarks.speed`
compares.
"""

import hashlib
import heapq
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pynmea2
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, register_message

_SECOND = 1_000_000
_TICK = 100_000
_CHAR_US = 1_146
"""One character of 11 bits at 9600 bit/s, rounded up, µs."""
_TURNAROUND_US = 5_000
_GAP_US = 4_010
_PORT_RECEIVER, _PORT_BROKER, _PORT_STATE, _PORT_BUS = 0, 1, 2, 4
_WRITES_FROM = 2
"""Devices from this number have no outputs."""


@dataclass(frozen=True)
class ReferenceTraffic:
    """The traffic of one virtual second.

    `devices` are the units of the bus. `reads` and `writes` are the transactions, and `registers`
    is the mean number of registers of a read. `sentences` is the number of NMEA sentences.
    """

    devices: int
    reads: int
    writes: int
    registers: int
    sentences: int


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return table


_TABLE = _crc_table()


def _crc16(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


class EventHeap:
    """Time and the heap of events."""

    def __init__(self) -> None:
        self.now = 0
        self._order = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []

    def schedule(self, due: int, call: Callable[..., None], *args: Any) -> None:
        """Call `call(*args)` at `due`, µs."""
        self._order += 1
        heapq.heappush(self._heap, (due, self._order, call, args))

    def run(self, until: int) -> None:
        """Run all events before `until`, µs."""
        while self._heap and self._heap[0][0] < until:
            self.now, _, call, args = heapq.heappop(self._heap)
            call(*args)


class FirstOrderPlant:
    """Two first-order values: supply temperature and differential pressure."""

    def __init__(self) -> None:
        self.supply_c, self.dp_kpa = 34.0, 60.0
        self.valve_pct, self.pump_pct = 40.0, 60.0

    def step(self) -> None:
        """Step by 0.25 s."""
        self.supply_c += 0.02 * (42.0 - 0.2 * self.valve_pct - self.supply_c)
        self.dp_kpa += 0.2 * (0.0125 * self.pump_pct * self.pump_pct - self.dp_kpa)


class RegisterUnits:
    """Modbus devices with the framer and the PDU classes of pymodbus."""

    def __init__(self, plant: FirstOrderPlant, devices: int) -> None:
        self._plant = plant
        self._framer = FramerRTU(DecodePDU(True))
        self._registers = [[0] * 64 for _ in range(devices + 1)]

    def reply(self, frame: bytes) -> bytes:
        """Return the reply to a request."""
        _, unit, _, pdu_bytes = self._framer.decode(frame)
        request: Any = self._framer.decoder.decode(pdu_bytes)
        registers = self._registers[unit]
        registers[0] = round(self._plant.supply_c * 100)
        registers[1] = round(self._plant.dp_kpa * 10)
        response: Any
        if request.function_code == 3:
            first, count = request.address, request.count
            response = register_message.ReadHoldingRegistersResponse(
                registers=registers[first : first + count]
            )
        else:
            value = request.registers[0]
            registers[request.address] = value
            if unit == 1:
                self._plant.valve_pct = value / 10
            else:
                self._plant.pump_pct = value / 10
            response = register_message.WriteSingleRegisterResponse(
                address=request.address, registers=[value]
            )
        response.dev_id = unit
        return self._framer.buildFrame(response)


class SentenceSource:
    """A GNSS receiver with the sentences of pynmea2."""

    def __init__(self, sentences: int) -> None:
        self._views = sentences - 3

    def epoch(self, second: int) -> bytes:
        """Return the epoch of a second."""
        hms = f"{second // 3600 % 24:02d}{second // 60 % 60:02d}{second % 60:02d}.000"
        place = ["2447.52130", "N", "04641.43110", "E"]
        rmc = [hms, "A", *place, "0.00", "", "241126", "", "", "A", "V"]
        gga = [hms, *place, "1", "18", "0.61", "612.0", "M", "-32.0", "M", "", ""]
        sentences: list[pynmea2.NMEASentence] = [
            pynmea2.RMC("GN", "RMC", rmc),
            pynmea2.GGA("GN", "GGA", gga),
            pynmea2.ZDA("GN", "ZDA", [hms, "24", "11", "2026", "00", "00"]),
        ]
        view = ["7", "1", "28", "01", "40", "083", "46", "02", "17", "308", "41", "12", "07"]
        fields = [*view, "344", "39", "14", "22", "228", "45"]
        sentences += [pynmea2.GSV("GB", "GSV", fields) for _ in range(self._views)]
        return "".join(sentence.render() + "\r\n" for sentence in sentences).encode()


class SmallAgent:
    """The controller: input and time in, actions out."""

    def __init__(self, traffic: ReferenceTraffic) -> None:
        self._traffic = traffic
        self._queue: list[bytes] = []
        self._waiting = False
        self._values = [[0.0] * 64 for _ in range(traffic.devices + 1)]
        self._request = b""
        self._integral = [40.0, 60.0]
        self._ticks = 0
        self.utc = 0
        self.out: list[tuple[int, bytes]] = []

    def receive(self, port: int, data: bytes) -> None:
        """Take bytes of a port."""
        if port == _PORT_BUS:
            self._on_reply(data)
        elif port == _PORT_RECEIVER:
            self._on_epoch(data)

    def _on_reply(self, data: bytes) -> None:
        unit, function = data[0], data[1]
        request = self._request
        if unit != request[0] or function != request[1]:
            raise ValueError("a reply without a request")
        if _crc16(data[:-2]) != data[-2] | data[-1] << 8:
            raise ValueError("CRC")
        if function == 3:
            raw = struct.unpack(f">{data[2] // 2}H", data[3:-2])
            values = self._values[unit]
            for i, word in enumerate(raw):
                values[i] = word * 0.01
        self._waiting = False

    def _on_epoch(self, data: bytes) -> None:
        for line in data.split(b"\r\n"):
            if not line:
                continue
            body, _, digits = line[1:].partition(b"*")
            total = 0
            for byte in body:
                total ^= byte
            if total != int(digits, 16):
                raise ValueError("checksum")
            fields = body.split(b",")
            if fields[0] == b"GNZDA":
                hms = int(fields[1][:6])
                self.utc = hms // 10000 * 3600 + hms // 100 % 100 * 60 + hms % 100

    def send_next(self) -> None:
        """Send the next request of the queue."""
        if self._queue and not self._waiting:
            self._request = self._queue.pop(0)
            self._waiting = True
            self.out.append((_PORT_BUS, self._request))

    def _add_request(self, unit: int, function: int, address: int, value: int) -> None:
        head = struct.pack(">BBHH", unit, function, address, value)
        self._queue.append(head + struct.pack("<H", _crc16(head)))

    def tick(self) -> None:
        """Step 10 times a second; poll, control and report once a second."""
        phase = self._ticks % 10
        self._ticks += 1
        if phase == 0:
            traffic = self._traffic
            for i in range(traffic.reads):
                self._add_request(1 + i % traffic.devices, 3, 0, traffic.registers)
        elif phase == 6:
            outputs = self._step_loops()
            for i in range(self._traffic.writes):
                unit = 1 + i % _WRITES_FROM
                self._add_request(unit, 6, 40 + unit, round(outputs[unit - 1] * 10))
            self._report()
        self.send_next()

    def _step_loops(self) -> list[float]:
        outputs = []
        readings = ((self._values[1][0], 32.0, -2.0), (self._values[2][1] * 10, 80.0, 0.3))
        for i, (reading, setpoint, gain) in enumerate(readings):
            error = setpoint - reading
            self._integral[i] = min(max(self._integral[i] + gain * 0.1 * error, 0.0), 100.0)
            outputs.append(min(max(self._integral[i] + gain * error, 0.0), 100.0))
        return outputs

    def _report(self) -> None:
        row = [round(value, 2) for values in self._values[1:] for value in values[:8]]
        payload = json.dumps({"utc": self.utc, "values": row}).encode()
        self.out.append((_PORT_BROKER, b"\x32" + struct.pack(">H", len(payload)) + payload))
        status = {
            "utc": self.utc,
            "tick": self._ticks,
            "loops": {"supply": self._integral[0], "pressure": self._integral[1]},
            "devices": {str(unit): {"values": v[:6]} for unit, v in enumerate(self._values[1:])},
        }
        self.out.append((_PORT_STATE, json.dumps(status).encode()))


class ReferenceProgram:
    """The whole program."""

    def __init__(self, traffic: ReferenceTraffic) -> None:
        self.world = EventHeap()
        self._plant = FirstOrderPlant()
        self._units = RegisterUnits(self._plant, traffic.devices)
        self._receiver = SentenceSource(traffic.sentences)
        self._agent = SmallAgent(traffic)
        self._hash = hashlib.sha256()
        self.transactions = 0

    def _add(self, port: int, kind: int, data: bytes) -> None:
        self._hash.update(struct.pack(">qBBI", self.world.now, port, kind, len(data)) + data)

    def _carry_out(self) -> None:
        out = self._agent.out
        for port, data in out:
            self._add(port, 16, data)
            if port == _PORT_BUS:
                self.transactions += 1
                sent = self.world.now + len(data) * _CHAR_US
                self.world.schedule(sent, self._execute, data)
        out.clear()

    def _execute(self, request: bytes) -> None:
        reply = self._units.reply(request)
        arrival = self.world.now + _TURNAROUND_US + len(reply) * _CHAR_US
        self.world.schedule(arrival, self._deliver, _PORT_BUS, reply)

    def _deliver(self, port: int, data: bytes) -> None:
        self._add(port, 0, data)
        self._agent.receive(port, data)
        if port == _PORT_BUS:
            self.world.schedule(self.world.now + _GAP_US, self._send_next)

    def _send_next(self) -> None:
        self._agent.send_next()
        self._carry_out()

    def _tick(self) -> None:
        self._agent.tick()
        self._carry_out()
        self.world.schedule(self.world.now + _TICK, self._tick)

    def _step_plant(self) -> None:
        self._plant.step()
        self.world.schedule(self.world.now + _SECOND // 4, self._step_plant)

    def _send_epoch(self) -> None:
        data = self._receiver.epoch(self.world.now // _SECOND)
        self.world.schedule(self.world.now + 60_000, self._deliver, _PORT_RECEIVER, data)
        self.world.schedule(self.world.now + _SECOND, self._send_epoch)

    def run(self, seconds: int) -> str:
        """Run some virtual seconds; return the digest in hexadecimal."""
        for first in (self._tick, self._step_plant, self._send_epoch):
            self.world.schedule(0, first)
        self.world.run(seconds * _SECOND)
        return self._hash.hexdigest()
