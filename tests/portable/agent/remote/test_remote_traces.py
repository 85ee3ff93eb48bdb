# SPDX-License-Identifier: Apache-2.0
"""Recorded bytes of a unit during remote changes: its store, its messages, its reports.

They do not say that a change is handled right; the other tests of this folder do. Each change of
an order, a time, a number or a text in them is seen. To write the new records, from the root:

    python -m tests.portable.agent.remote.test_remote_traces
"""

from agent.port_numbers import BROKER, CONSOLE, STATE
from agent.remote.storage import software_slots
from protocols.cbor import Decimal
from protocols.time_units import MILLISECOND
from tests.portable.agent.control.law.trace_tools import ExactRecord
from tests.portable.agent.remote.test_software_update import (
    BUNDLE,
    CHUNK,
    make_chunk,
    make_manifest,
)
from tests.portable.support.check import eq
from tests.portable.support.remote_rig import (
    COUNTER,
    LIMITER,
    OPERATOR,
    PRESSURE,
    SETPOINT,
    START_S,
    STORE,
    RemoteRig,
    RemoteStore,
    make_command,
    make_patch,
)

FLOATS = 64  # rows of telemetry differ with 32 bits
BOTH = (OPERATOR, LIMITER)
LONG = (
    "test_changes",
    "test_commands",
    "test_lives",
    "test_software",
)


class RecordingRig(RemoteRig):
    """A unit whose actions at its store, broker and console are recorded."""

    def __init__(self, out, file=None, store=None):
        self.out, self.at = out, START_S
        RemoteRig.__init__(self, file, store)

    def perform(self, port, op, data):
        if port in (STORE, BROKER, CONSOLE):
            self.out.add(self.now // MILLISECOND, port, op, len(data), checksum(data))
        RemoteRig.perform(self, port, op, data)
        if port == STATE:
            self.out.add(checksum(self.state.split(b'"remote":')[-1].split(b"}")[0]))

    def change(self, changes, signers=(OPERATOR,), **options):
        self.at += 1
        self.send(make_patch(self, changes, signers, self.at, **options))

    def order(self, name, arguments=(), signers=BOTH):
        self.at += 1
        self.send(make_command(name, list(arguments), signers, self.at))

    def watch(self, seconds, step=1.0):
        """Run, and record what the manager states."""
        for _ in range(int(seconds / step)):
            self.run(step)
            manager = self.manager
            self.out.add(*[str(value) for value in self.slot_state()])
            self.out.add(manager.rejections.count, str(manager.rejections.last), self.restarts)
            self.out.add(" ".join(manager.results))
            for name, value in manager.status(self.now).pairs:
                self.out.add(name, str(value))
            monitor = manager.trial_monitor
            self.out.add("" if monitor is None else monitor.phase)
            self.out.add(str(self.audit_entries()[-1:]), len(self.audit_entries()))


def checksum(data):
    """Return a number for bytes; faster than to add each byte."""
    total = 0
    for i in range(0, len(data), 7):
        total = (total * 31 + int.from_bytes(data[i : i + 7], "big")) & 0xFFFFFFFFFFFFF
    return total


def trace_changes():
    out = ExactRecord()
    rig = RecordingRig(out)
    rig.watch(8)
    rig.change([(SETPOINT, Decimal(325, 1))])
    rig.watch(24)
    rig.order("confirm", [("counter", COUNTER + 1)])
    rig.watch(3)
    rig.change([(PRESSURE, 110)], confirm_s=120)
    rig.watch(30)
    rig.set(1, 4, 1)
    rig.watch(6)  # on trial, after the health window
    rig.set(1, 4, 0)
    rig.watch(100)  # not confirmed
    rig.change([(PRESSURE, 105)])
    rig.watch(4)
    rig.set(1, 4, 1)
    rig.watch(6)
    rig.set(1, 4, 0)
    rig.watch(6)
    rig.change([(SETPOINT, 36)])
    rig.watch(30)
    rig.change([(SETPOINT, 33)], version=77)
    rig.change([(99, 33)])
    rig.change([(SETPOINT, 3300)])
    rig.change([(SETPOINT, 33)], (LIMITER,))
    rig.change([(SETPOINT, 33)], hours=-2)
    rig.change([("devices", [])], BOTH)
    rig.watch(3)
    rig.change([("control.dp.pumps", ["lead"])], BOTH)
    rig.watch(3)
    rig.order("rollback")
    rig.watch(3)
    rig.change([(SETPOINT, 31)], not_before_s=START_S + 600)
    rig.watch(3)
    rig.order("cancel", [("counter", 3)])
    rig.order("cancel")
    rig.watch(3)
    rig.deliver("event", STORE, "failed")
    rig.watch(3)
    rig.change([(SETPOINT, 31)])
    rig.watch(3)
    rig.deliver("event", STORE, "opened")
    rig.watch(9)
    return out.sum


def trace_commands():
    out = ExactRecord()
    rig = RecordingRig(out)
    rig.watch(7)
    for name, arguments in (
        ("suspend", [("key", 9)]),
        ("suspend", [("key", LIMITER)]),
        ("resume", [("key", LIMITER)]),
        ("cancel", []),
        ("rollback", []),
        ("confirm", [("counter", 5)]),
        ("capture", [("port", "bus"), ("seconds", 0)]),
        ("capture", [("port", "broker")]),
        ("capture", [("port", "bus"), ("seconds", 2)]),
        ("capture", [("port", "bus")]),
        ("fetch", []),
        ("fetch", []),
        ("fetch", [("what", "none")]),
        ("rotate", []),
        ("dance", []),
        ("reset", [("code", "boot_loop")]),
        ("acknowledge", []),
    ):
        rig.order(name, arguments)
        rig.watch(0.4, 0.2)
    rig.watch(8)
    rig.order("fetch", [("what", "capture")])
    rig.watch(4)
    rig.change([(SETPOINT, 33)])
    rig.watch(3)
    rig.order("rollback", [("counter", 1)])
    rig.order("rollback")
    rig.watch(3)
    rig.order("restart")
    rig.watch(2)
    rig.order("decommission")
    rig.watch(5)
    out.add(*[str(rig.store.records[name]) for name in sorted(rig.store.records)])
    return out.sum


def trace_lives():
    out = ExactRecord()
    rig = RecordingRig(out)
    rig.watch(7)
    rig.change([(SETPOINT, 33)], confirm_s=300)
    rig.watch(3)
    for seconds in (0.5, 0.5, 0.5, 0.5, 6):
        life = RecordingRig(out, None, rig.store)
        life.watch(seconds, 0.5)
        out.add(int(life.agent.supply_loop.setpoint * 10))
    life.at = rig.at
    life.change([(SETPOINT, Decimal(325, 1))], confirm_s=300)
    life.watch(60, 2)
    later = RecordingRig(out, None, rig.store)
    later.watch(30, 2)
    for cut in range(0, 12, 3):
        part = RecordingRig(out, None, later.store)
        part.at = START_S + 100 + cut
        part.store.cut_at_write = part.store.writes + cut
        part.watch(6)
        part.change([(PRESSURE, 101 + cut)])
        part.watch(3)
        part.store.cut_at_write = None
    last = RecordingRig(out, None, later.store)
    last.watch(6)
    out.add(*[str(last.store.records[name]) for name in sorted(last.store.records)])
    return out.sum


def trace_software():
    out = ExactRecord()
    rig = RecordingRig(out)
    rig.watch(7)
    rig.send(make_manifest(signers=(OPERATOR,)))
    rig.send(make_manifest(at=START_S + 1))
    rig.watch(2)
    at = START_S + 1
    chunks = [(1, None), (0, None), (0, b"x" * CHUNK), (0, None), (7, b""), (1, None), (2, None)]
    for index, data in chunks:
        rig.manager.on_chunk(make_chunk(index, at, data), rig.now)
        rig.process_outbox()
        rig.watch(0.4, 0.2)
        out.add(rig.manager.update.received_chunks, rig.manager.update.discarded_chunks)
        out.add(str(rig.manager.update.status()))
    out.add(len(BUNDLE))
    rig.watch(5)
    for name, arguments in (("rollback", []), ("confirm", [("counter", COUNTER + 1)])):
        life = start_release(out, copy_of(rig.store))
        life.at = START_S + 2
        life.watch(9)
        life.order(name, arguments)
        life.watch(30, 3)
        life.order(name, arguments)
        life.watch(3)
        out.add(str(life.manager.update.status()), life.restarts)
        life.send(make_manifest(2, at=START_S + 20))
        life.send(make_manifest(1, at=START_S + 21))
        life.send(make_manifest(3, at=START_S + 22))
        life.watch(3)
        out.add(str(start_release(out, life.store).manager.update.status()))
    for _ in range(5):  # it crashes
        life = start_release(out, rig.store)
        life.watch(0.5, 0.5)
        out.add(str(life.manager.update.status()))
    return out.sum


def copy_of(store):
    made = RemoteStore()
    made.records = dict(store.records)
    return made


def start_release(out, store):
    """Start as a launcher does."""
    chosen, writes = software_slots.choose_release(store.read)
    out.add(0 if chosen is None else chosen.release)
    for key, data in writes:
        store.write("write", key.encode() + b"\0" + data)
        out.add(key, checksum(data))
    return RecordingRig(out, None, store)


RECORD = {
    "trace_changes": 220865471278628657,
    "trace_commands": 80570740886566496,
    "trace_lives": 180647572899414021,
    "trace_software": 46410497839018552,
}


def test_changes():
    eq(trace_changes(), RECORD["trace_changes"])


def test_commands():
    eq(trace_commands(), RECORD["trace_commands"])


def test_lives():
    eq(trace_lives(), RECORD["trace_lives"])


def test_software():
    eq(trace_software(), RECORD["trace_software"])


if __name__ == "__main__":
    print("RECORD = {")
    for trace in sorted(name for name in globals() if name.startswith("trace_")):
        print('    "%s": %d,' % (trace, globals()[trace]()))
    print("}")
