# SPDX-License-Identifier: Apache-2.0
"""A unit that accepts changes from operators, for the tests of agent/remote."""

from agent.agent import Agent
from agent.config.load import load
from agent.port_numbers import BROKER, CONSOLE, FIRST_BUS
from agent.remote.message import canonical, command, patch
from agent.remote.message.counter import seconds_of
from agent.remote.message.header import EPOCH_S
from agent.remote.storage.audit import SEGMENTS, AuditReader, key_of
from agent.remote.update import boot
from protocols.signed_message import COMMAND, PATCH, SignedMessage, build_signing_input, pack
from protocols.time_units import MILLISECOND
from tests.portable.support.agent_rig import AgentRig, config, profiles
from tests.portable.support.check import eq
from tests.portable.support.signer import Signer

STORE = FIRST_BUS + 1
OPERATOR, LIMITER, UNKNOWN_SIGNER = 1, 2, 3
KEYS = {}  # made at the first use: a key costs 10 ms on the interpreter of a board
START_S = 1_795_500_000  # 2026-11-24T06:00:00Z
HOUR = 3600
TARGET = "s1/u1"


def key(number):
    if number not in KEYS:
        KEYS[number] = Signer(number)
    return KEYS[number]


def remote_config():
    raw = config()
    raw.pop("receiver")
    raw["telemetry"] = {"period_ms": 60000}  # the broker of the rig stores messages
    raw["remote"] = {
        "port": "store:/var/lib/coldloop",
        "health_s": 20,
        "groups": ["gulf"],
        "keys": [
            {"number": OPERATOR, "public": key(OPERATOR).public.hex(), "role": "operate"},
            {"number": LIMITER, "public": key(LIMITER).public.hex(), "role": "limits"},
        ],
    }
    return raw


class RemoteStore:
    """Records that survive; writes are durable after `delay`, and fail from `cut_at_write` on."""

    def __init__(self):
        self.records = {}
        self.writes = 0
        self.cut_at_write = None

    def read(self, name):
        return self.records.get(name)

    def ask(self, op, data):
        """Return the answer, empty if there is none; None after the power cut."""
        if op == "get":
            result = self.records.get(data.decode())
            return data if result is None else data + b"\0" + result
        if self.cut_at_write is not None and self.writes >= self.cut_at_write:
            return None
        if op == "delete":
            self.records.pop(data.decode(), None)
            return b""
        self.write(op, data)
        return b""

    def write(self, op, data):
        self.writes += 1
        name, payload = data.split(b"\0", 1)
        before = self.records.get(name.decode(), b"") if op == "append" else b""
        self.records[name.decode()] = before + payload


class RemoteRig(AgentRig):
    """`file` is the configuration of the site; `store` has the records of an earlier start."""

    def __init__(self, file=None, store=None, models=None):
        self.store = store or RemoteStore()
        self.restarts = 0
        self.file = file or remote_config()
        self.models = models or profiles()
        self.delay_us = 2 * MILLISECOND  # of a write
        AgentRig.__init__(self)

    def make(self, _raw, _models):
        config, boot_state = boot.start_config(self.file, self.store.read, self.check)
        return Agent(config, boot_state)

    def check(self, raw):
        return load(raw, self.models)

    def audit_entries(self):
        """Return the entries of the log: (keys, action, result)."""
        entries = []
        for number in range(SEGMENTS):
            data = self.store.read(key_of(number))
            if data:
                entries.extend(AuditReader(data).entries)
        return [(tuple(e[2]), e[3], e[5]) for e in sorted(entries, key=lambda e: e[0])]

    def perform(self, port, op, data):
        if port == STORE and op in ("write", "append", "delete", "get"):
            answer = self.store.ask(op, data)
            if answer:
                self.schedule(MILLISECOND, "receive", STORE, answer)
            if answer is not None:
                self.schedule(self.delay_us, "event", STORE, "drained")
        elif (port, op, data) == (CONSOLE, "set", b"restart"):
            self.restarts += 1
        else:
            AgentRig.perform(self, port, op, data)

    @property
    def manager(self):
        return next(part for part in self.agent.components if hasattr(part, "write_queue"))

    def send(self, data):
        """Pass a message on cfg/desired, as a broker does."""
        topic = b"coldloop/v1/s1/u1/cfg/desired"
        body = bytes((0, len(topic))) + topic + b"\0\x07" + data
        size = len(body)
        head = b"\x32" + bytes((size & 127 | 128, size >> 7)) if size > 127 else bytes((0x32, size))
        self.deliver("receive", BROKER, head + body)

    def slot_state(self):
        """Return the confirmed version, the version on trial, and the last result."""
        slots = self.manager.boot.slots
        return slots.version, slots.trial and slots.trial.counter, slots.last


def sign_message(kind, body, signers, target=TARGET, base=b""):
    """Return a message as the tool of an operator makes it."""
    text = build_signing_input(kind, target, base, body)
    return pack(SignedMessage(kind, body, [(number, key(number).sign(text)) for number in signers]))


def date_of(counter_s):
    """Return the time of signing without the epoch of the counter."""
    return EPOCH_S + seconds_of(counter_s - EPOCH_S)


def make_patch(rig, changes, signers=(OPERATOR,), counter_s=START_S, **options):
    """Return a patch for the active configuration of the rig."""
    hours = options.pop("hours", 24)
    version = options.pop("version", rig.manager.boot.slots.version)
    base = options.pop("base", canonical.hash_config(rig.manager.boot.config))
    target = options.pop("target", TARGET)
    confirm_s = options.pop("confirm_s", 3600)
    body = patch.encode_patch(
        counter_s, version, date_of(counter_s) + hours * HOUR, confirm_s, changes, **options
    )
    if options.get("group"):
        target, base = "@" + options["group"], b""
    return sign_message(PATCH, body, signers, target, base)


def make_command(name, arguments=(), signers=(OPERATOR,), counter_s=START_S, minutes=60, **options):
    if name == "confirm" and not arguments:
        arguments = [("counter", COUNTER)]
    body = command.encode_command(
        counter_s, date_of(counter_s) + 60 * minutes, name, arguments, **options
    )
    target = "@" + options["group"] if options.get("group") else TARGET
    return sign_message(COMMAND, body, signers, target)


SETPOINT, PRESSURE, SAFE_VALVE = 1, 2, 11
RETURN_C = 1  # register of the CDU
COUNTER = START_S - 1_767_225_600


def start_rig():
    """Return a unit in the normal state."""
    rig = RemoteRig()
    rig.run(6)
    eq(rig.agent.supervisor.state, "normal")
    return rig


def command_result(rig, data):
    """Return the result of a completed command."""
    before = len(rig.manager.results)
    rig.send(data)
    rig.run(1)
    eq(len(rig.manager.results), before + 1)
    return rig.manager.results[-1]


def reject_reason(rig, data):
    """Return the reject reason of `data`."""
    before = rig.manager.rejections.count
    rig.send(data)
    rig.run(1)
    eq(rig.manager.rejections.count, before + 1)
    return rig.manager.rejections.last[0]
