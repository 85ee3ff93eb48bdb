"""A small unit for the tests of agent/: profiles, a configuration, slaves, a broker, a crank.

Everything here is made by hand from the standards, with no code of ours below agent/, and runs on
both interpreters. Not a plant: registers stay what a test makes them, except that a valve and the
drives do what they are told.
"""

import sys

from agent.agent import BROKER, CONSOLE, FIRST_BUS, STATE, Agent
from agent.config.load import forget_checks, load
from agent.fieldbus.fieldbus import Fieldbus
from drivers.modbus.bus import Result
from protocols.time_units import MILLISECOND, SECOND

RUN, STOP = 1151, 1150
SUPPLY, RETURN, UPPER, LOWER, FLAGS = 0, 1, 2, 3, 4  # registers of the CDU
CDU, VALVE, LEAD, LAG = 1, 2, 3, 4  # units
REPLY_US = 5 * MILLISECOND
SMALL = sys.implementation.name == "micropython"  # as its shell does


def _point(name, address, den, low, high, limits=None):
    point = {"name": name, "address": address, "type": "i16", "scale": [1, den], "unit": "1"}
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
    """Four devices, by the names of their profiles."""
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
    """A configuration with every section; the caller may change it."""
    names = (("cdu", "cdu"), ("valve", "valve"), ("lead", "drive"), ("lag", "drive"))
    supply = {"setpoint_c": 32, "sensor": "cdu", "valve": "valve", "gain_pct_per_k": 5}
    dp = {"setpoint_kpa": 100, "sensor": "cdu", "pumps": ["lead", "lag"], "gain_pct_per_kpa": 0.2}
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


def lean():
    """A configuration with what is required and nothing else."""
    raw = config()
    for key in ("receiver", "broker", "state", "limits", "telemetry", "bus_timeout_ms"):
        raw.pop(key)
    return raw


class Lcg:
    """Bytes and numbers that look random and are the same everywhere."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self.state >> 8) % limit

    def bytes(self, count):
        return bytes([self.below(256) for _ in range(count)])


def crc(data):
    """CRC-16/MODBUS, bit by bit."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value


def sealed(body):
    value = crc(body)
    return body + bytes((value & 255, value >> 8))


class Slaves:
    """The slaves of one line: registers by unit, and what is wrong with them.

    `silent` units do not answer; `deaf` ones echo a write and do not do it; `refusing` ones answer
    a write with exception 4.
    """

    def __init__(self):
        self.registers = {
            CDU: [320, 400, 3000, 2000, 0],
            VALVE: [4000, 4000],
            LEAD: [RUN, 8000, 0, 8000],
            LAG: [STOP, 0, 0, 0],
        }
        self.silent, self.deaf, self.refusing = set(), set(), set()
        self.writes = []  # (unit, address, values) that were asked for
        self._known = {}

    def answer(self, request):
        """The reply to a request, or None. Replies are kept: a CRC bit by bit is slow."""
        unit, function = request[0], request[1]
        if unit in self.silent or unit not in self.registers:
            return None
        address = request[2] << 8 | request[3]
        if function > 4:
            return self._write(request, unit, function, address)
        values = self.registers[unit][address : address + request[5]]
        key = (unit, tuple(values))
        if key not in self._known:
            if len(self._known) > 30:
                self._known = {}
            body = bytes((unit, function, 2 * request[5]))
            for value in values:
                body += bytes((value >> 8, value & 255))
            self._known[key] = sealed(body)
        return self._known[key]

    def _write(self, request, unit, function, address):
        data = request[4:6] if function == 6 else request[7:-2]
        values = [data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)]
        self.writes.append((unit, address, values))
        if unit in self.refusing:
            return sealed(bytes((unit, function | 0x80, 4)))
        if unit not in self.deaf:
            self._do(unit, address, values)
        return sealed(request[:6])

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


class Broker:
    """An MQTT server: takes what it is sent, acknowledges when `acks`; CONNACK carries `code`."""

    def __init__(self):
        self.code, self.acks, self.mute = 0, True, False
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
        return b"" if self.mute else out

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
        return b"\x40\x02" + body[end : end + 2] if self.acks else b""


def sentence(body):
    """An NMEA sentence around `body`."""
    value = 0
    for char in body:
        value ^= ord(char)
    return ("$%s*%02X\r\n" % (body, value)).encode()


def epoch(time, date):
    """RMC and GGA of one second: `time` is hhmmss, `date` is ddmmyy."""
    place = "2430.0000,N,04640.0000,E"
    rmc = "GNRMC,%s.000,A,%s,0.0,0.0,%s,,,A" % (time, place, date)
    gga = "GNGGA,%s.000,%s,1,20,0.6,600.0,M,0.0,M,," % (time, place)
    return sentence(rmc) + sentence(gga)


class Rig:
    """An agent that is turned in virtual time. `absent` ports fail to open."""

    def __init__(self, raw=None, absent=(), models=None):
        self.agent = self.make(raw or config(), models or profiles())
        if SMALL:
            forget_checks()
        self.slaves = Slaves()
        self.broker = Broker()
        self.absent = set(absent)
        self.now = self.start = 1000 * SECOND
        self.opens = []  # (seconds since the start, port)
        self.console = []
        self.state = b""
        self.worst_late = 0
        self._due = []  # (time, number, call, port, data)
        self._number = 0
        self.agent.start(self.now)
        self.carry_out()

    def make(self, raw, models):
        return Agent(load(raw, models))

    def later(self, delay, call, port, data):
        self._number += 1
        self._due.append((self.now + delay, self._number, call, port, data))
        self._due.sort()

    def carry_out(self):
        for port, op, data in self.agent.outbox():
            self.act(port, op, data)
        assert self.agent.outbox() == []

    def act(self, port, op, data):
        if op == "open":
            self.opens.append(((self.now - self.start) / SECOND, port))
            kind = "failed" if port in self.absent else "opened"
            self.later(MILLISECOND, "event", port, kind)
        elif op == "close":
            self._due = [due for due in self._due if due[3] != port]
        elif port == CONSOLE:
            self.console.append(data.decode())
        elif port == STATE:
            self.state = data
        else:
            far = self.broker if port == BROKER else self.slaves
            reply = far.answer(data)
            if reply:
                self.later(REPLY_US, "receive", port, reply)

    def give(self, call, port, data):
        """Hand something to the agent now."""
        getattr(self.agent, call)(port, data, self.now)
        self.carry_out()

    def run(self, seconds):
        """Let time go on, waking the agent exactly when it asks for it."""
        until = self.now + int(seconds * SECOND)
        while True:
            due = self.agent.deadline()
            if self._due and self._due[0][0] <= due:
                if self._due[0][0] > until:
                    break
                self.now, _, call, port, data = self._due.pop(0)
                self.give(call, port, data)
                continue
            if due > until:
                break
            self.now = max(self.now, due)
            self.agent.wake(self.now)
            self.carry_out()
        self.now = until

    def codes(self):
        return self.agent.alarms.codes()

    def set(self, unit, register, value):
        self.slaves.registers[unit][register] = value

    def writes(self, unit):
        """Take what was written to a unit since the last call: lists of values."""
        mine = [values for to, _, values in self.slaves.writes if to == unit]
        self.slaves.writes = [w for w in self.slaves.writes if w[0] != unit]
        return mine


class Bench:
    """The stations of the configuration alone, their registers set by hand: for one loop's test."""

    def __init__(self, raw=None):
        self.config = load(raw or config(), profiles())
        self.fieldbus = Fieldbus(self.config, FIRST_BUS)
        self.bus = self.fieldbus.buses[0]
        for bus in self.fieldbus.buses:
            bus.event("opened", 0)
        self.now = SECOND

    def station(self, name):
        return self.fieldbus.station(name)

    def cycle(self):
        """Begin a cycle; nothing answers by itself."""
        self.fieldbus.begin_cycle(self.now, SECOND)

    def read(self, name, *registers):
        """The device does what it is told, is polled and answers with these registers."""
        station = self.station(name)
        self.written(only=station.unit)
        station.poll(self.now, SECOND)
        self._decide(self._take(self.bus_of(name)._polls, station.unit), "ok", registers)

    def silence(self, name):
        """The device is polled and does not answer."""
        station = self.station(name)
        station.poll(self.now, SECOND)
        self._decide(self._take(self.bus_of(name)._polls, station.unit), "timeout")

    def written(self, ok=True, only=None):
        """Decide the writes that wait, of one unit or all; give them back."""
        jobs = []
        for bus in self.fieldbus.buses:
            jobs.extend(self._take(bus._urgent, only))
        self._decide(jobs, "ok" if ok else "timeout")
        return jobs

    def bus_of(self, name):
        return self.station(name).bus

    def _take(self, queue, unit):
        taken = [job for job in queue if unit is None or job.unit == unit]
        for job in taken:
            queue.remove(job)
        return taken

    def _decide(self, jobs, status, values=()):
        for job in jobs:
            result = Result(job.tag, job.unit, status, 0, tuple(values), self.now)
            self.fieldbus.stations[job.tag[0]].result(result)

    def wanted(self, name):
        """What the device is asked to hold, raw by point name; empty when nothing."""
        station = self.station(name)
        points = station.profile.points
        return {points[i].name: raw for i, raw in station._wanted}
