# SPDX-License-Identifier: Apache-2.0
"""A small unit for the tests of agent/: profiles, a configuration, devices, a broker, I/O.

The models here are written from the standards. They use no code of the project below agent/ and run
on both interpreters. Does not model a plant: registers keep the values of a test. Only the valve
and the drives execute their requests.
"""

import sys

from agent.agent import Agent
from agent.config.load import load, unload_checks
from agent.fieldbus.fieldbus import Fieldbus
from agent.port_numbers import BROKER, CONSOLE, FIRST_BUS, STATE
from drivers.modbus.bus import TransactionResult
from protocols.time_units import MILLISECOND, SECOND

RUN, STOP = 1151, 1150
SUPPLY, RETURN, UPPER, LOWER, FLAGS = 0, 1, 2, 3, 4  # registers of the CDU
CDU, VALVE, LEAD, LAG = 1, 2, 3, 4  # units
REPLY_US = 5 * MILLISECOND
SMALL = sys.implementation.name == "micropython"  # as its runtime does


def _point(name, address, denominator, low, high, limits=None):
    point = {
        "name": name,
        "address": address,
        "type": "i16",
        "scale": [1, denominator],
        "unit": "1",
    }
    point.update({"min": low, "max": high})
    if limits:
        point.update({"write": True, "limits": limits})
    return point


def profile(model, count, points, bits=(), function=3, **role):
    raw = {"model": model, "title": model, "source": "made up", "met_hardware": False}
    raw["blocks"] = [{"function": function, "address": 0, "count": count}]
    raw["points"] = [dict(point, function=function) for point in points]
    raw["bits"] = list(bits)
    raw.update(role)
    return raw


def profiles():
    """Return four devices, by the names of their profiles."""
    cdu = [_point("SupplyTemperatureCelsius", SUPPLY, 10, 0, 1000)]
    cdu.append(_point("ReturnTemperatureCelsius", RETURN, 10, 0, 1000))
    cdu.append(_point("SupplyPressurekPa", UPPER, 10, 0, 16000))
    cdu.append(_point("ReturnPressurekPa", LOWER, 10, 0, 16000))
    leak = {"name": "Leak", "address": FLAGS, "bit": 0, "alarm": True}
    valve = [_point("ValvePositionControlPercent", 0, 100, 0, 10000, [0, 10000])]
    valve.append(_point("ValvePositionPercent", 1, 100, 0, 10000))
    drive = [_point("ControlWord", 0, 1, 0, 4095, [0, 4095])]
    drive.append(_point("SpeedControlPercent", 1, 200, 0, 20000, [0, 20000]))
    drive.append(_point("PumpSpeedPercent", 3, 200, 0, 20000))
    tripped = {"name": "Tripped", "address": 2, "bit": 3, "alarm": True}
    pump = {"setpoint": "SpeedControlPercent", "feedback": "PumpSpeedPercent", "trip": "Tripped"}
    pump.update({"run": [["ControlWord", RUN]], "stop": [["ControlWord", STOP]]})
    stroke = {"setpoint": "ValvePositionControlPercent", "feedback": "ValvePositionPercent"}
    return {
        "cdu": profile("cdu", 5, cdu, [leak]),
        "meter": profile("meter", 1, [_point("DeltaPressurekPa", 0, 10, 0, 9000)], function=4),
        "valve": profile("valve", 2, valve, valve=stroke),
        "drive": profile("drive", 4, drive, [tripped], pump=pump),
    }


def config():
    """Return a configuration with all sections; the caller can change it."""
    names = (("cdu", "cdu"), ("valve", "valve"), ("lead", "drive"), ("lag", "drive"))
    supply = {"setpoint_c": 32, "sensor": "cdu", "valve": "valve"}
    dp = {"setpoint_kpa": 100, "sensor": "cdu", "pumps": ["lead", "lag"]}
    return {
        "version": 1,
        "site": "s1",
        "unit": "u1",
        "receiver": {"port": "serial:/dev/gnss?baud=115200"},
        "buses": {"bus": "serial:/dev/bus?baud=115200"},
        "bus_timeout_ms": 50,
        "broker": {"address": "tcp:broker:1883"},
        "state": "store:/var/lib/x",
        "devices": [
            {"name": name, "bus": "bus", "unit": i + 1, "profile": model}
            for i, (name, model) in enumerate(names)
        ],
        "control": {"supply": supply, "dp": dp},
        "limits": {"supply_max_c": 40},
        "telemetry": {"queue": 20},
    }


def minimal_config():
    """Return a configuration with only the required keys."""
    raw = config()
    for key in ("receiver", "broker", "state", "limits", "telemetry", "bus_timeout_ms"):
        raw.pop(key)
    return raw


class RigLcg:
    """Pseudo-random bytes and numbers, equal on every interpreter."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self.state >> 8) % limit

    def bytes(self, count):
        return bytes([self.below(256) for _ in range(count)])


def crc(data):
    """Return CRC-16/MODBUS, computed bit by bit."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value


def with_crc(body):
    value = crc(body)
    return body + bytes((value & 255, value >> 8))


class DeviceModels:
    """The devices of one line: registers by unit, and their faults.

    `silent` units do not reply. `ignoring` ones echo a write without an effect. `rejecting` ones
    reply to a write with exception 4.
    """

    def __init__(self):
        self.registers = {
            CDU: [320, 400, 3000, 2000, 0],
            VALVE: [4000, 4000],
            LEAD: [RUN, 8000, 0, 8000],
            LAG: [STOP, 0, 0, 0],
        }
        self.silent, self.ignoring, self.rejecting = set(), set(), set()
        self.writes = []  # requested writes: (unit, address, values)
        self._reply_cache = {}

    def answer(self, request):
        """Return the reply to a request, or None. It caches replies, because a CRC bit by bit is
        slow.
        """
        unit, function = request[0], request[1]
        if unit in self.silent or unit not in self.registers:
            return None
        address = request[2] << 8 | request[3]
        if function > 4:
            return self._write(request, unit, function, address)
        values = self.registers[unit][address : address + request[5]]
        key = (unit, tuple(values))
        if key not in self._reply_cache:
            if len(self._reply_cache) > 30:
                self._reply_cache = {}
            body = bytes((unit, function, 2 * request[5]))
            for value in values:
                body += bytes((value >> 8, value & 255))
            self._reply_cache[key] = with_crc(body)
        return self._reply_cache[key]

    def _write(self, request, unit, function, address):
        data = request[4:6] if function == 6 else request[7:-2]
        values = [data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)]
        self.writes.append((unit, address, values))
        if unit in self.rejecting:
            return with_crc(bytes((unit, function | 0x80, 4)))
        if unit not in self.ignoring:
            self._do(unit, address, values)
        return with_crc(request[:6])

    def _do(self, unit, address, values):
        registers = self.registers[unit]
        before = registers[0]
        for i, value in enumerate(values):
            registers[address + i] = value
        if unit == VALVE:
            registers[1] = registers[0]
        elif registers[0] != RUN:
            registers[3] = 0
        elif before == STOP or registers[3]:  # it starts on the change only
            registers[3] = registers[1]


class FakeBroker:
    """An MQTT server that stores messages, and acknowledges them if `acknowledges` is set.

    CONNACK has the code `code`.
    """

    def __init__(self):
        self.code, self.acknowledges, self.is_silent = 0, True, False
        self.connects, self.published, self.topics = [], [], []
        self._buffer = b""

    def answer(self, data):
        self._buffer += data
        out = b""
        while len(self._buffer) >= 2:
            size, shift, at = 0, 0, 1
            while True:
                byte = self._buffer[at]
                size |= (byte & 127) << shift
                shift, at = shift + 7, at + 1
                if byte < 128:
                    break
            assert len(self._buffer) >= at + size, "a packet in pieces"
            out += self._packet(self._buffer[0], self._buffer[at : at + size])
            self._buffer = self._buffer[at + size :]
        return b"" if self.is_silent else out

    def _packet(self, first, body):
        if first == 0x10:
            self.connects.append(body)
            return bytes((0x20, 2, 0, self.code))
        if first == 0xC0:
            return b"\xd0\x00"
        if first == 0x40:
            return b""
        if first == 0x82:
            self.topics.append(body[4:-1].decode())
            return b"\x90\x03" + body[:2] + b"\x01"
        assert first & 0xF0 == 0x30, first
        end = 2 + (body[0] << 8 | body[1])
        assert first & 6 == 2, "not QoS 1"
        self.published.append((first, body[2:end].decode(), body[end + 2 :]))
        return b"\x40\x02" + body[end : end + 2] if self.acknowledges else b""


def sentence(body):
    """Return an NMEA sentence with the content `body`."""
    value = 0
    for char in body:
        value ^= ord(char)
    return ("$%s*%02X\r\n" % (body, value)).encode()


def epoch(time, date):
    """Return RMC and GGA of one second: `time` is hhmmss, `date` is ddmmyy."""
    place = "2430.0000,N,04640.0000,E"
    rmc = "GNRMC,%s.000,A,%s,0.0,0.0,%s,,,A" % (time, place, date)
    gga = "GNGGA,%s.000,%s,1,20,0.6,600.0,M,0.0,M,," % (time, place)
    return sentence(rmc) + sentence(gga)


class AgentRig:
    """An agent in virtual time. `absent` ports fail to open."""

    def __init__(self, raw=None, absent=(), models=None):
        self.agent = self.make(raw or config(), models or profiles())
        if SMALL:
            unload_checks()
        self.devices = DeviceModels()
        self.broker = FakeBroker()
        self.absent = set(absent)
        self.now = self.start = 1000 * SECOND
        self.open_requests = []  # (seconds since the start, port)
        self.console = []
        self.state = b""
        self.max_late_us = 0
        self._scheduled = []  # (time, number, call, port, data)
        self._number = 0
        self.agent.start(self.now)
        self.process_outbox()

    def make(self, raw, models):
        return Agent(load(raw, models))

    def schedule(self, delay, call, port, data):
        self._number += 1
        self._scheduled.append((self.now + delay, self._number, call, port, data))
        self._scheduled.sort()

    def process_outbox(self):
        for port, op, data in self.agent.outbox():
            self.perform(port, op, data)
        assert self.agent.outbox() == []

    def perform(self, port, op, data):
        if op == "open":
            self.open_requests.append(((self.now - self.start) / SECOND, port))
            kind = "failed" if port in self.absent else "opened"
            self.schedule(MILLISECOND, "event", port, kind)
        elif op == "close":
            self._scheduled = [due for due in self._scheduled if due[3] != port]
        elif port == CONSOLE:
            self.console.append(data.decode())
        elif port == STATE:
            self.state = data
        else:
            endpoint = self.broker if port == BROKER else self.devices
            reply = endpoint.answer(data)
            if reply:
                self.schedule(REPLY_US, "receive", port, reply)

    def deliver(self, call, port, data):
        """Pass data or an event to the agent now."""
        getattr(self.agent, call)(port, data, self.now)
        self.process_outbox()

    def run(self, seconds):
        """Advance the time; wake the agent exactly at its deadlines."""
        until = self.now + int(seconds * SECOND)
        while True:
            due = self.agent.deadline()
            if self._scheduled and self._scheduled[0][0] <= due:
                if self._scheduled[0][0] > until:
                    break
                self.now, _, call, port, data = self._scheduled.pop(0)
                self.deliver(call, port, data)
                continue
            if due > until:
                break
            self.now = max(self.now, due)
            self.agent.wake(self.now)
            self.process_outbox()
        self.now = until

    def alarm_codes(self):
        return self.agent.alarms.codes()

    def set(self, unit, register, value):
        self.devices.registers[unit][register] = value

    def take_writes(self, unit):
        """Return the writes to a unit since the last call: lists of values."""
        values_written = [values for to, _, values in self.devices.writes if to == unit]
        self.devices.writes = [w for w in self.devices.writes if w[0] != unit]
        return values_written


class FieldbusRig:
    """Only the device sessions of the configuration, with registers set by the test of one loop."""

    def __init__(self, raw=None):
        self.config = load(raw or config(), profiles())
        self.fieldbus = Fieldbus(self.config, FIRST_BUS)
        self.bus = self.fieldbus.buses[0]
        for bus in self.fieldbus.buses:
            bus.event("opened", 0)
        self.now = SECOND

    def session(self, name):
        return self.fieldbus.session(name)

    def cycle(self):
        """Begin a cycle; no device replies."""
        self.fieldbus.begin_cycle(self.now, SECOND)

    def read(self, name, *registers):
        """Let the device execute its requests and reply to a poll with these registers."""
        session = self.session(name)
        self.finish_writes(only=session.unit)
        session.poll(self.now, SECOND)
        self._finish(self._dequeue(self.bus_of(name)._polls, session.unit), "ok", registers)

    def no_reply(self, name):
        """Poll the device without a reply."""
        session = self.session(name)
        session.poll(self.now, SECOND)
        self._finish(self._dequeue(self.bus_of(name)._polls, session.unit), "timeout")

    def finish_writes(self, ok=True, only=None):
        """Finish the pending writes of one unit or of all; return them."""
        transactions = []
        for bus in self.fieldbus.buses:
            transactions.extend(self._dequeue(bus._urgent, only))
        self._finish(transactions, "ok" if ok else "timeout")
        return transactions

    def bus_of(self, name):
        return self.session(name).bus

    def _dequeue(self, queue, unit):
        taken = [transaction for transaction in queue if unit is None or transaction.unit == unit]
        for transaction in taken:
            queue.remove(transaction)
        return taken

    def _finish(self, transactions, status, values=()):
        for transaction in transactions:
            result = TransactionResult(
                transaction.tag, transaction.unit, status, 0, tuple(values), self.now
            )
            self.fieldbus.sessions[transaction.tag[0]].handle_result(result)

    def requested(self, name):
        """Return the requested outputs of the device, raw, by point name."""
        session = self.session(name)
        points = session.profile.points
        return {points[i].name: raw for i, raw in session._write_cycle._requested}
