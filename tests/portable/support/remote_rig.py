"""A unit that takes changes from operators, for the tests of agent/remote."""

from agent.agent import BROKER, CONSOLE, FIRST_BUS, Agent
from agent.config.load import load
from agent.remote.message import canonical, command, patch
from agent.remote.storage.audit import SEGMENTS, Walk, key_of
from agent.remote.update import boot
from protocols.signed_message import COMMAND, PATCH, Envelope, pack, signed_text
from protocols.time_units import MILLISECOND
from tests.portable.support.agent_rig import Rig, config, profiles
from tests.portable.support.check import eq
from tests.portable.support.signer import Signer

STORE = FIRST_BUS + 1
OPERATOR, LIMITER, STRANGER = 1, 2, 3
KEYS = {}  # made when first used: a key costs 10 ms on a board's interpreter
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
    raw["telemetry"] = {"period_ms": 60000}  # the rig's broker keeps what it is sent
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


class Store:
    """Records that survive; writes are durable after `delay`, and end when `cut` is reached."""

    def __init__(self):
        self.records = {}
        self.writes = 0
        self.cut = None

    def read(self, name):
        return self.records.get(name)

    def ask(self, op, data):
        """The answer, empty for what has none; None when the power went before."""
        if op == "get":
            found = self.records.get(data.decode())
            return data if found is None else data + b"\0" + found
        if self.cut is not None and self.writes >= self.cut:
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


class RemoteRig(Rig):
    """`file` is the site's own configuration; `store` is what an earlier life left behind."""

    def __init__(self, file=None, store=None, models=None):
        self.store = store or Store()
        self.restarts = 0
        self.file = file or remote_config()
        self.models = models or profiles()
        Rig.__init__(self)

    def make(self, _raw, _models):
        ready, chosen = boot.start(self.file, self.store.read, self.check)
        return Agent(ready, chosen)

    def check(self, raw):
        return load(raw, self.models)

    def logged(self):
        """The log's entries: (keys, what, result)."""
        entries = []
        for number in range(SEGMENTS):
            data = self.store.read(key_of(number))
            if data:
                entries.extend(Walk(data).entries)
        return [(tuple(e[2]), e[3], e[5]) for e in sorted(entries, key=lambda e: e[0])]

    def act(self, port, op, data):
        if port == STORE and op in ("write", "append", "delete", "get"):
            answer = self.store.ask(op, data)
            if answer:
                self.later(MILLISECOND, "receive", STORE, answer)
            if answer is not None:
                self.later(2 * MILLISECOND, "event", STORE, "drained")
        elif (port, op, data) == (CONSOLE, "set", b"restart"):
            self.restarts += 1
        else:
            Rig.act(self, port, op, data)

    @property
    def desk(self):
        return next(part for part in self.agent.parts if hasattr(part, "keeper"))

    def send(self, data):
        """What a broker would deliver on cfg/desired."""
        topic = b"coldloop/v1/s1/u1/cfg/desired"
        body = bytes((0, len(topic))) + topic + b"\0\x07" + data
        size = len(body)
        head = b"\x32" + bytes((size & 127 | 128, size >> 7)) if size > 127 else bytes((0x32, size))
        self.give("receive", BROKER, head + body)

    def standing(self):
        """What is confirmed, what is on trial, the last outcome."""
        slots = self.desk.boot.slots
        return slots.version, slots.trial and slots.trial.counter, slots.last


def signed(kind, body, signers, target=TARGET, base=b""):
    """A message as an operator's tool makes it."""
    text = signed_text(kind, target, base, body)
    return pack(Envelope(kind, body, [(number, key(number).sign(text)) for number in signers]))


def a_patch(rig, changes, signers=(OPERATOR,), counter_s=START_S, **more):
    """A patch for what the rig runs now."""
    hours = more.pop("hours", 24)
    version = more.pop("version", rig.desk.boot.slots.version)
    base = more.pop("base", canonical.digest(rig.desk.boot.config))
    target = more.pop("target", TARGET)
    confirm_s = more.pop("confirm_s", 3600)
    body = patch.write(counter_s, version, counter_s + hours * HOUR, confirm_s, changes, **more)
    if more.get("group"):
        target, base = "@" + more["group"], b""
    return signed(PATCH, body, signers, target, base)


def a_command(name, arguments=(), signers=(OPERATOR,), counter_s=START_S, minutes=60, **more):
    body = command.write(counter_s, counter_s + 60 * minutes, name, arguments, **more)
    target = "@" + more["group"] if more.get("group") else TARGET
    return signed(COMMAND, body, signers, target)


SETPOINT, PRESSURE, SAFE_VALVE = 1, 2, 11
RETURN_C = 1  # register of the CDU
COUNTER = START_S - 1_767_225_600


def running():
    """A unit that has come to stand well."""
    rig = RemoteRig()
    rig.run(6)
    eq(rig.agent.supervisor.state, "normal")
    return rig


def obeyed(rig, data):
    """The result of a command that is done."""
    before = len(rig.desk.results)
    rig.send(data)
    rig.run(1)
    eq(len(rig.desk.results), before + 1)
    return rig.desk.results[-1]


def refused(rig, data):
    """The reason for which `data` is refused."""
    before = rig.desk.refused
    rig.send(data)
    rig.run(1)
    eq(rig.desk.refused, before + 1)
    return rig.desk.refusal[0]
