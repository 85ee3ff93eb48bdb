# SPDX-License-Identifier: Apache-2.0
"""Each piece of a unit with many components raises, or has no memory: no tick is lost.

`PIECES` is the table. On MicroPython `make soak` runs more calls of each piece, and a real failure
of an allocation (`heap`). CPython runs each of the first 200 calls
there (`tests.agent.runtime.test_guard_calls`). `tests.hil.fault.guard_campaign` does so in several
situations of a row with a plant.
"""

from agent.core.component.registry import COMPONENTS
from agent.core.fault.stand_in import StandIn
from agent.port_numbers import BROKER, CONSOLE, FIRST_BUS, RECEIVER, STATE
from hil.kernel.raise_in import inject
from protocols.time_units import MILLISECOND
from tests.portable.agent.control.test_component import REMOTE, make_models
from tests.portable.support.agent_rig import (
    CDU,
    LAG,
    LEAD,
    REPLY_US,
    RUN,
    SMALL,
    VALVE,
    AgentRig,
    config,
    epoch,
)
from tests.portable.support.check import eq

LONG = (
    "test_calls_of_ports_loops_and_devices",
    "test_calls_of_components",
    "test_calls_of_further_components",
)

CORE = ("supply", "pressure", "bus", "broker", "receiver", "cdu", "valve", "lead", "lag")
SECTIONS = {
    "log": {"port": "store:/log", "ack_key": "c0" * 16},
    "cooling": {"facility": "valve", "pumps": {}},
    "timekeeping": {"port": "store:/time"},
    "integrity": {},
    "safety": {"inputs": []},
    "pps": {"port": "pps:/dev/pps0"},
    "chrony": {"port": "chrony:/run/x.sock"},
    "retain": {"port": "store:/retain"},
    "ntp": {"port": "ntp:10.0.0.1:123"},
    "northbound": {"port": "local:/run/coldloop"},
    "receivers": {"ports": {"b": "serial:/dev/ttyS7?baud=4800"}},
    "redundancy": {"port": "store:/pair", "node": "a", "key": "1b" * 32},
    "group": {
        "ports": {"u1": "udp:10.0.0.1:5247", "u2": "udp:10.0.0.2:5247"},
        "key": "1a" * 32,
        "capacity_kw": 100,
        "flow": "cdu.SupplyPressurekPa",
    },
}
"""Section: its settings. Together they make one unit."""
ELSEWHERE = (
    "remote",
    "throttle",
    "ledger",
    "receiver_setup",
    "modem",
    "modem_store",
)
"""Sections that need more of a unit; `tests.hil.fault.guard_campaign` has them."""
COMPONENT_NAMES = tuple(sorted(SECTIONS))
PIECES = CORE + COMPONENT_NAMES
WORDS = ("heap", "memory", "injected") if SMALL else ("injected",)
CALLS = (1, 2, 5, 13, 34, 89, 144, 200) if SMALL else (1,)


class PieceRig(AgentRig):
    """The unit. Its stores are empty and accept each write; nothing answers at other ports."""

    def process_outbox(self):
        registers = self.devices.registers
        if len(registers[CDU]) < 6:
            registers[CDU].append(1500)
            registers[VALVE].append(2400)
            registers[LEAD][2] = registers[LAG][2] = REMOTE
        for port, op, data in self.agent.outbox():
            self.perform(port, op, data)

    def perform(self, port, op, data):
        if op in ("open", "close") or port in (CONSOLE, STATE, BROKER, FIRST_BUS):
            AgentRig.perform(self, port, op, data)
        elif op == "get":
            self.schedule(REPLY_US, "receive", port, data)
        elif op == "write":
            self.schedule(REPLY_US, "event", port, "drained")
            self.schedule(REPLY_US + MILLISECOND, "receive", port, data[:40])


def make_rig():
    raw = config()
    raw.update([(section, dict(SECTIONS[section])) for section in sorted(SECTIONS)])
    return PieceRig(raw, (), make_models())


def run_second(rig, second):
    """Run one second with sentences of the receiver."""
    rig.run(0.5)
    time = "12%02d%02d" % (second // 60, second % 60)
    rig.deliver("receive", RECEIVER, epoch(time, "281126"))
    rig.run(0.5)


def check_piece(piece, call, word):
    """Run with one fault; return the number of contained faults: 0 if the call needs no memory, or
    does not come in 40 s.
    """
    rig = make_rig()
    counter = inject(rig.agent, piece + " " + word, call)
    second = 0
    while counter.count < call and second < 40:
        second += 1
        run_second(rig, second)
    for _ in range(7):  # a pump whose first reading is lost starts up to 5 s later
        second += 1
        run_second(rig, second)
    faults = judge(rig, (piece, call, word))
    # a call that needs no memory succeeds with a locked heap
    assert faults >= 1 or word == "heap" or counter.count < call, (piece, call, word)
    return faults


def judge(rig, case):
    """Compare a unit after a fault with what it must be; return the number of contained faults."""
    agent = rig.agent
    eq((case, agent.ticks.missed), (case, 0))
    assert agent.ticks.count > 30, (case, agent.ticks.count)
    off = [part.section for part in agent.components if isinstance(part, StandIn)]
    eq((case, off), (case, []))
    eq((case, rig.devices.registers[LEAD][0]), (case, RUN))
    assert rig.devices.registers[VALVE][0] > 0, case
    containment = agent.guard.containment
    faults = 0 if containment is None else sum(containment.counts.values())
    assert faults <= 2, (case, faults)
    return faults


def test_the_table_has_each_component():
    names = {row[0] for row in COMPONENTS}
    eq(sorted(names - set(SECTIONS)), sorted(ELSEWHERE))


def check_pieces(pieces):
    faults = 0
    for number, piece in enumerate(pieces):
        for i, call in enumerate(CALLS):
            faults += check_piece(piece, call, WORDS[(number + i) % len(WORDS)])
    assert faults >= len(pieces) * len(CALLS) // 3, faults


def test_calls_of_ports_loops_and_devices():
    check_pieces(CORE)


def test_calls_of_components():
    check_pieces(COMPONENT_NAMES[:7])


def test_calls_of_further_components():
    check_pieces(COMPONENT_NAMES[7:])
