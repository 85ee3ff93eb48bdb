"""The part of the agent to which operators' messages come.

    broker ──cfg/desired, cmd──▶ queue ─▶ examination (a slice a turn) ─▶ waits for its time
                                              │ refused                        │
    cfg/reported ◀── what runs, what was refused and why            slots ─▶ trial ─▶ confirmed
                                                                                └─▶ rolled back

Not the rules (gate, patch, trial) and not the order of writes (slots): this room only moves what
they decide. One message is looked at at a time, few wait, and everything slow is cut into slices of
less than a millisecond on a server, so that no tick is late. Between two slices a port may speak.

A change that the running agent can take over (agent.remote.parameters.LIVE) is taken over when it
is durable; any other asks the shell for a restart, after which the trial goes on.
"""

from agent.errors import ConfigError
from agent.jsontext import Object, write
from agent.parts import Part
from agent.remote import canonical, trial
from agent.remote.boot import Boot
from agent.remote.command import Command
from agent.remote.gate import Examination, Place
from agent.remote.keyring import Keyring
from agent.remote.parameters import live, path_of
from agent.remote.patch import EPOCH_S, Patch, applied
from agent.remote.reasons import Refusal
from agent.remote.slots import MOST_ALARMS, Slots, Trial
from protocols.cbor import Map
from protocols.envelope import COMMAND, LONGEST
from protocols.errors import EncodeError
from protocols.timing import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.agent import Actions, Agent
    from agent.config import Config

DESIRED, COMMANDS, REPORTED, CONFIG = "cfg/desired", "cmd", "cfg/reported", "cfg/config"
_MOST_WAITING = 4
_SLICE_US = 4 * MILLISECOND
_GRACE_S = 10
"""Seconds that a start may take until what it finds wrong counts against a trial: a controller that
was just started has read nothing yet."""
_REFUSALS_EVERY = 10 * SECOND
"""Refusals are published at most this often: a flood of bad messages buys no traffic."""
_NOBODY = "no file and no store were looked at when this agent was started"


class Desk(Part):
    """See the module's docstring. `settings` is the section `remote` of the configuration."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", port: int) -> None:
        Part.__init__(self, agent, settings, port)
        self.boot: Boot = agent.boot or Boot({}, b"", Slots(b""))
        self.usable = agent.boot is not None
        self.accepted = 0
        self.refused = 0
        self.watch: trial.TrialWatch | None = None
        self.results: list[str] = []
        self._keyring = Keyring(settings["keys"])
        self._before: tuple[Config, bytes, dict[str, Any]] | None = None
        self._waiting: list[bytes] = []
        self._examination: Examination | None = None
        self._held: Examination | None = None
        self._writes: list[tuple[str, bytes]] = list(self.boot.writes)
        self._writing = False
        self._then: Callable[[int], None] | None = None
        self._open = False
        self._out: Actions = []
        self._due = NEVER
        self._news = True
        self._said_config = b""
        self.refusal = ("", "")
        self._unsaid = False
        self._say_refusal_at = 0
        if agent.uplink is not None:
            agent.uplink.listen(DESIRED, self.message)
            agent.uplink.listen(COMMANDS, self.message)
        self.commands: dict[str, Callable[[Map, int], str]] = {
            "confirm": self._confirm,
            "rollback": self._roll_back_on_demand,
            "acknowledge": self._acknowledge,
            "restart": self._restart,
        }

    def start(self, now: int) -> None:
        """Go on with a trial that a restart interrupted."""
        running = self.boot.slots.trial
        if running is not None:
            self._watch(now, running, _GRACE_S)

    def _watch(self, now: int, running: Trial, grace_s: int) -> None:
        health_s = int(self.settings["health_s"])
        self.watch = trial.TrialWatch(self.agent, running, now, health_s, grace_s)
        self._news = True

    # What comes: messages, the store, time.

    def message(self, data: bytes, now: int) -> None:
        """Take a message from any carrier; it is looked at when its turn comes."""
        if not data:
            return  # a retained message taken away
        if len(self._waiting) >= _MOST_WAITING or len(data) > LONGEST:
            self._refuse(Refusal("too_large" if len(data) > LONGEST else "busy", "too many"))
            return
        if data not in self._waiting:
            self._waiting.append(data)
            self._due = now

    def event(self, kind: str, now: int) -> None:
        """Take what the store says."""
        if kind == "drained":
            if self._writing:
                self._writes.pop(0)
            self._writing = False
            self._written(now)
        else:
            self._open = kind == "opened"
            self._writing = False
        self._write_next()

    def _written(self, now: int) -> None:
        if not self._writes and self._then is not None:
            then, self._then = self._then, None
            then(now)

    def tick(self, now: int) -> None:
        """Look after a message that waits, a trial, and what is to be said."""
        self._turn(now)
        held = self._held
        if held is not None and self._utc_s(now) >= held.message.not_before_s:
            self._held = None
            self._take(held, now)
        if self.watch is not None:
            self._step_trial(now)
        if self._news or (self._unsaid and now >= self._say_refusal_at):
            self._report(now)

    def wake(self, now: int) -> None:
        """Do the next slice."""
        self._due = NEVER
        self._turn(now)

    def deadline(self) -> int:
        """Give the time of the next slice."""
        return self._due

    def outbox(self) -> "Actions":
        """Hand over what the store is asked to do."""
        if not self._out:
            return []
        out, self._out = self._out, []
        return out

    def _utc_s(self, now: int) -> int:
        """Give the UTC a waiting message may trust, seconds since 1970; 0 without one."""
        utc = self.agent.clock.utc(now)
        trusted = self.agent.clock.state(now) in ("sync", "holdover")
        return utc // SECOND if utc is not None and trusted else 0

    # A message on its way.

    def _turn(self, now: int) -> None:
        if self._examination is None and self._waiting and not self._busy():
            self._begin(self._waiting.pop(0), now)
        elif self._examination is not None:
            self._slice(now)
        more = self._examination is not None or (bool(self._waiting) and not self._busy())
        self._due = now + _SLICE_US if more else NEVER

    def _busy(self) -> bool:
        return bool(self._writes) or self._then is not None

    def _begin(self, data: bytes, now: int) -> None:
        config, slots = self.agent.config, self.boot.slots
        place = Place(
            config.site + "/" + config.unit,
            self.settings.get("groups", []),
            slots.version,
            canonical.digest(self.boot.config),
            slots.counters,
        )
        try:
            if not self.usable:
                raise Refusal("store", _NOBODY)
            self._examination = Examination(data, self._keyring, place, self._since_s(now))
        except Refusal as refusal:
            self._refuse(refusal)

    def _since_s(self, now: int) -> int:
        return max(self._utc_s(now), EPOCH_S)

    def _slice(self, now: int) -> None:
        examination = self._examination
        if examination is None:
            return
        try:
            if not examination.step():
                return
            self._examination = None
            if examination.message.not_before_s > self._utc_s(now):
                self._held = examination
                raise Refusal("not_yet")
            self._take(examination, now)
        except Refusal as refusal:
            self._examination = None
            self._refuse(refusal)

    def _take(self, examination: Examination, now: int) -> None:
        """Act on a message that has passed the gate."""
        message = examination.message
        self.accepted += 1
        self._news = True
        if isinstance(message, Command):
            self._obey(message, now)
            return
        try:
            self._put_on_trial(message, now)
        except Refusal as refusal:
            self._refuse(refusal)
            self._store([self.boot.slots.refuse(message.counter, refusal.reason)], None)

    def _put_on_trial(self, message: Patch, now: int) -> None:
        if self.boot.slots.trial is not None:
            raise Refusal("busy")
        if not self._open:
            raise Refusal("store", "it is not open")
        raw = applied(self.boot.raw, message.changes)
        config = self._checked(raw)
        data = canonical.write(raw)
        alarms = self.agent.alarms.codes()[:MOST_ALARMS]
        writes = self.boot.slots.begin(message.counter, message.confirm_s, alarms, data)
        at_once = all(live(path_of(key) or "") for key, _ in message.changes)

        def durable(then: int) -> None:
            self._before = (self.agent.config, self.boot.config, self.boot.raw)
            if not at_once:
                self.agent.restart()
                return
            self._run(config, data, raw)
            running = self.boot.slots.trial
            if running is not None:
                self._watch(then, running, 0)

        self._store(writes, durable)

    def _checked(self, raw: "dict[str, Any]") -> "Config":
        check = self.boot.check
        if check is None:
            raise Refusal("store", _NOBODY)
        try:
            canonical.write(raw)
            return check(raw)
        except (ConfigError, EncodeError) as error:
            text = str(error).split("\n")[0]
            word = "unknown_key" if "unknown key" in text else "out_of_range"
            raise Refusal(word, text)

    def _run(self, config: "Config", data: bytes, raw: "dict[str, Any]") -> None:
        self.agent.adopt(config)
        self.boot.config = data
        self.boot.raw = raw
        self._news = True

    # The trial.

    def _step_trial(self, now: int) -> None:
        watch, running = self.watch, self.boot.slots.trial
        if watch is None or running is None:
            return
        phase = watch.phase
        word = watch.step(now)
        if word:
            self._roll_back(word + (" " + watch.why if watch.why else ""))
            return
        self._news = self._news or watch.phase != phase
        left = watch.left_to_keep(now)
        if left is not None and not self._busy():
            running.confirm_s = left
            self._store([self.boot.slots.record()], None)

    def _roll_back(self, reason: str) -> None:
        """Go back at once; the store learns of it after."""
        write = self.boot.slots.roll_back(reason)
        self.watch = None
        self._news = True
        before, self._before = self._before, None
        if before is not None:
            self._run(*before)
            self._store([write], None)
        else:
            self._store([write], lambda _: self.agent.restart())

    # Commands.

    def _obey(self, message: Command, now: int) -> None:
        slots = self.boot.slots
        act = self.commands.get(message.name)
        if act is None:
            self._refuse(Refusal("unknown_key", "no command " + message.name[:32]))
            return
        self._store([slots.seen(COMMAND, message.counter)], None)
        try:
            result = act(message.arguments, now)
        except Refusal as refusal:
            self._refuse(refusal)
            result = str(refusal)
        self.results = (self.results + ["%d %s: %s" % (message.counter, message.name, result)])[-8:]

    def _confirm(self, arguments: Map, now: int) -> str:
        running = self.boot.slots.trial
        if running is None or self.watch is None:
            raise Refusal("no_trial")
        if arguments.get("counter") not in (None, running.counter):
            raise Refusal("no_trial", "on trial is %d" % running.counter)
        if self.watch.phase != trial.CONFIRM:
            raise Refusal("not_yet", "its health is still being watched")
        self._store([self.boot.slots.confirm()], None)
        self.watch, self._before = None, None
        return "confirmed"

    def _roll_back_on_demand(self, _: Map, __: int) -> str:
        if self.boot.slots.trial is None:
            raise Refusal("no_trial")
        self._roll_back("on demand")
        return "rolled back"

    def _acknowledge(self, _: Map, __: int) -> str:
        return "%d alarms" % len(self.agent.alarms.codes())

    def _restart(self, _: Map, __: int) -> str:
        self._then = lambda _: self.agent.restart()
        return "restarting"

    # The store.

    def _store(
        self, writes: "list[tuple[str, bytes]]", then: "Callable[[int], None] | None"
    ) -> None:
        self._writes.extend(writes)
        if then is not None:
            self._then = then
        self._write_next()

    def _write_next(self) -> None:
        if self._writes and self._open and not self._writing:
            key, payload = self._writes[0]
            self._out.append((self.port, "write", key.encode() + b"\0" + payload))
            self._writing = True

    # What is said.

    def _refuse(self, refusal: Refusal) -> None:
        self.refused += 1
        self.refusal = (refusal.reason, refusal.detail[:120])
        self._unsaid = True

    def _report(self, now: int) -> None:
        self._news = False
        if self._unsaid:
            self._say_refusal_at = now + _REFUSALS_EVERY
        self._unsaid = False
        if self.agent.uplink is not None:
            text = write(self.status(now)).encode()
            self.agent.uplink.say(REPORTED, text, True)
            if self._said_config != self.boot.config and self.usable:
                self._said_config = self.boot.config
                shown = canonical.write(canonical.shown(self.boot.raw))
                self.agent.uplink.say(CONFIG, shown, True)

    def status(self, now: int) -> Object:
        """Show what runs, what is on trial, what became of the last messages."""
        slots, watch = self.boot.slots, self.watch
        return Object(
            [
                ("version", slots.version),
                ("hash", canonical.digest(self.boot.config).hex()),
                ("counters", slots.counters),
                ("trial", None if slots.trial is None else slots.trial.counter),
                ("phase", None if watch is None else watch.phase),
                ("last", list(slots.last)),
                ("accepted", self.accepted),
                ("refused", self.refused),
                ("refusal", list(self.refusal)),
                ("results", self.results),
            ]
        )
