"""The part of the agent to which operators' messages come.

    broker ──cfg/desired, cmd──▶ queue ─▶ examination (a slice a turn) ─▶ waits for its time
                                              │ refused                        │
    cfg/reported ◀── what runs, what was refused and why            slots ─▶ trial ─▶ confirmed
                                                                                └─▶ rolled back

Not the rules (gate, patch, trial), not the order of writes (slots, keeper), not what commands do
(orders): this room only moves what they decide. One message is looked at at a time, few wait, and
everything slow is cut into slices of less than a millisecond on a server, so that no tick is late.
Between two slices a port may speak.

A change that the running agent can take over (agent.remote.message.parameters.LIVE) is taken over when it
is durable; any other asks the shell for a restart, after which the trial goes on. A command is
done when it is durable that it was seen: at most once, whatever the power does.
"""

from agent.core.component import Part
from agent.core.errors import ConfigError
from agent.core.json_writer import Object, write
from agent.remote import module_unload
from agent.remote.message import canonical
from agent.remote.message.reject import Refusal
from agent.remote.storage.boot_state import Boot
from agent.remote.storage.config_slots import MOST_ALARMS, Slots, Trial
from agent.remote.storage.write_queue import Keeper
from protocols.errors import EncodeError
from protocols.signed_message import COMMAND, LONGEST, MANIFEST
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Actions, Agent
    from agent.core.config_records import Config
    from agent.remote.command_table import Orders
    from agent.remote.message.command import Command
    from agent.remote.message.manifest import Manifest
    from agent.remote.message.patch import Patch
    from agent.remote.message.verifier import Examination
    from agent.remote.update.software_update import Update
    from agent.remote.update.trial import TrialWatch

PIECES = "cfg/chunk"
DESIRED, COMMANDS, REPORTED, CONFIG = "cfg/desired", "cmd", "cfg/reported", "cfg/config"
_MOST_WAITING = 4
_SLICE_US = 4 * MILLISECOND
_GRACE_S = 10
"""Seconds that a start may take until what it finds wrong counts against a trial: a controller that
was just started has read nothing yet."""
_REFUSALS_EVERY = 10 * SECOND
"""Refusals are published at most this often: a flood of bad messages buys no traffic."""
_NOTES_EVERY = 600 * SECOND
"""Refusals of what nobody is known to have signed are noted together, at most this often: a flood
of bad messages does not drive good entries out of the log."""
_MOST_RESULTS = 8
_NOBODY = "no file and no store were looked at when this agent was started"


class Desk(Part):
    """See the module's docstring. `settings` is the section `remote` of the configuration."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", port: int) -> None:
        Part.__init__(self, agent, settings, port)
        self.boot: Boot = agent.boot or Boot(b"", Slots(b""))
        self.usable = agent.boot is not None
        self.accepted = 0
        self.refused = 0
        self.watch: TrialWatch | None = None
        self.results: list[str] = []
        self.keeper = Keeper(port, self.boot.audit)
        self._before: tuple[Config, bytes] | None = None
        self._waiting: list[bytes] = []
        self._examination: Examination | None = None
        self._held: Examination | None = None
        self._due = NEVER
        self._idle = True
        self._news = True
        self._said_config = b""
        self._ended = False
        self.refusal = ("", "")
        self._unsaid = False
        self._say_refusal_at = 0
        self._unnoted = 0
        self._note_at = 0
        self._orders: Orders | None = None
        if agent.uplink is not None:
            agent.uplink.listen(DESIRED, self.message)
            agent.uplink.listen(COMMANDS, self.message)
            agent.uplink.listen(PIECES, self.piece)
        self.update: Update | None = None
        if self.boot.releases is not None:
            self._load_update()

    def _load_update(self) -> "Update":
        if self.update is None:
            from agent.remote.update.software_update import Update  # noqa: PLC0415 - most units have none

            self.update = Update(self, self.boot.releases, self.boot.pieces)
        return self.update

    def start(self, now: int) -> None:
        """Go on with a trial that a restart interrupted."""
        module_unload.forget(True)
        if self.update is not None:
            self.update.start(now)
        slots = self.boot.slots
        if self.boot.writes or slots.trial is not None:
            text = "on trial %d" % slots.trial.counter if slots.trial else " ".join(slots.last[1:])
            self.note([], "start", slots.version, text, now)
        self.keeper.store(self.boot.writes, now)
        if slots.trial is not None:
            self._watch(now, slots.trial, _GRACE_S)

    def _watch(self, now: int, running: Trial, grace_s: int) -> None:
        health_s = int(self.settings["health_s"])
        from agent.remote.update.trial import TrialWatch  # noqa: PLC0415 - see `agent.remote.module_unload`

        self.watch = TrialWatch(
            self.agent, running.confirm_s, running.alarms, now, health_s, grace_s
        )
        self._news = True

    def note(self, who: "list[int]", what: str, counter: int, result: str, now: int) -> None:
        """Write an entry of the log."""
        self.keeper.note((self.utc_s(now), who, what, counter, result), now)

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
            self._idle = False
            self._due = now

    def piece(self, data: bytes, now: int) -> None:
        """Take a piece of an application update."""
        if self.update is not None:
            self.update.piece(data, now)

    def receive(self, data: bytes, now: int) -> None:
        """Take a record that was asked for."""
        if self._orders is not None:
            self._orders.record(data, now)

    def event(self, kind: str, now: int) -> None:
        """Take what the store says."""
        self.keeper.event(kind, now)

    def tick(self, now: int) -> None:
        """Look after a message that waits, a trial, and what is to be said."""
        self._turn(now)
        held = self._held
        if held is not None and self.utc_s(now) >= held.message.not_before_s:
            self._held = None
            self._take(held, now)
        if self.watch is not None:
            self._step_trial(now)
        if self._orders is not None:
            self._orders.tick(now)
        if self.update is not None:
            self.update.tick(now)
        if self._unnoted and now >= self._note_at:
            self._note_at = now + _NOTES_EVERY
            self.note([], "refused", self._unnoted, ": ".join(self.refusal).rstrip(": "), now)
            self._unnoted = 0
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
        return self.keeper.outbox()

    def utc_s(self, now: int) -> int:
        """Give the UTC a waiting message may trust, seconds since 1970; 0 without one."""
        utc = self.agent.clock.utc(now)
        trusted = self.agent.clock.state(now) in ("sync", "holdover")
        return utc // SECOND if utc is not None and trusted else 0

    # A message on its way.

    def _turn(self, now: int) -> None:
        if self._examination is None and self._waiting and not self.keeper.busy():
            self._begin(self._waiting.pop(0), now)
        elif self._examination is not None:
            self._slice(now)
        more = self._examination is not None or (bool(self._waiting) and not self.keeper.busy())
        self._due = now + _SLICE_US if more else NEVER
        if not (more or self._idle):
            self._rest()

    def _rest(self) -> None:
        """Forget the code that only a message needs, once nothing needs it any more."""
        if self._held or self.keeper.busy():
            return
        if self._orders is not None and not self._orders.resting():
            return
        self._orders = None
        self._idle = True
        module_unload.forget(self.watch is not None)

    def _begin(self, data: bytes, now: int) -> None:
        module_unload.verified()
        from agent.remote.message import verifier  # noqa: PLC0415 - see `agent.remote.module_unload`

        config, slots = self.agent.config, self.boot.slots
        place = verifier.Place(
            config.site + "/" + config.unit,
            self.settings.get("groups", []),
            slots.version,
            canonical.digest(self.boot.config),
            slots.counters,
        )
        try:
            if not self.usable:
                raise Refusal("store", _NOBODY)
            if not self.keeper.usable():
                raise Refusal("store", "it is not open")
            self._examination = verifier.examine(
                data, self.settings["keys"], place, self.utc_s(now)
            )
        except Refusal as refusal:
            self._refuse(refusal)

    def _slice(self, now: int) -> None:
        examination = self._examination
        if examination is None:
            return
        try:
            if not examination.step():
                return
        except Refusal as refusal:
            self._examination = None
            self._refuse(refusal)
            return
        self._examination = None
        module_unload.verified()
        message = examination.message
        if message.not_before_s > self.utc_s(now):
            self._held = examination
            self._refuse(Refusal("not_yet"), message, examination.who, now)
            return
        self._take(examination, now)

    def _take(self, examination: "Examination", now: int) -> None:
        """Act on a message that has passed the gate."""
        message, who = examination.message, examination.who
        self._news = True
        if examination.kind == COMMAND:
            self._obey(message, who, now)  # type: ignore[arg-type]
            return
        slots = self.boot.slots
        try:
            if slots.trial is not None:
                raise Refusal("busy")
            if examination.kind == MANIFEST:
                self._load_update().take(message, now)  # type: ignore[arg-type]
                self.note(who, message.what(), message.counter, "taken", now)
                self.keeper.store([slots.seen(MANIFEST, message.counter)], now)
            else:
                self._put_on_trial(message, who, now)  # type: ignore[arg-type]
            self.accepted += 1
        except Refusal as refusal:
            self._refuse(refusal, message, who, now)
            if examination.kind == MANIFEST:
                self.keeper.store([slots.seen(MANIFEST, message.counter)], now)
            else:
                self.keeper.store([slots.refuse(message.counter, refusal.reason)], now)

    def _put_on_trial(self, message: "Patch", who: "list[int]", now: int) -> None:
        if self.update is not None and self.update.watch is not None:
            raise Refusal("busy", "an application update is on trial")
        at_once = message.live()
        data, raw = self._changed(message)
        config = self._checked(raw, message.changes if at_once else None)
        self.note(who, message.what(), message.counter, "taken", now)
        alarms = self.agent.alarms.codes()[:MOST_ALARMS]
        writes = self.boot.slots.begin(message.counter, message.confirm_s, alarms, data)

        def durable(then: int) -> None:
            self._before = (self.agent.config, self.boot.config)
            if not at_once:
                self.agent.restart()
                return
            self._run(config, data)
            running = self.boot.slots.trial
            if running is not None:
                self._watch(then, running, 0)

        self.keeper.store(writes, now)
        self.keeper.then(durable, now)

    def _changed(self, message: "Patch") -> "tuple[bytes, dict[str, Any]]":
        """Give the changed configuration as bytes and, where there is room for it, parsed."""
        raw = message.applied(self.boot.raw())
        try:
            return canonical.write(raw), raw if self.boot.roomy else {}
        except EncodeError as error:
            raise Refusal("out_of_range", str(error))

    def _checked(self, raw: "dict[str, Any]", numbers: "list[tuple[Any, Any]] | None") -> "Config":
        """Check a changed configuration; `numbers`: all that is changed, where that is so simple.

        Where there is no room for a whole check, the start that the change needs makes it.
        """
        check = self.boot.check
        if check is None:
            raise Refusal("store", _NOBODY)
        running = self.agent.config
        try:
            if numbers is not None:
                module_unload.verified()
                from agent.remote.update.live_change import retuned  # noqa: PLC0415 - see `agent.remote.module_unload`

                running = retuned(running, numbers)
            if self.boot.roomy:
                check(raw)
            return running
        except ConfigError as error:
            text = str(error).split("\n")[0]
            word = "unknown_key" if "unknown key" in text else "out_of_range"
            raise Refusal(word, text)

    def _run(self, config: "Config", data: bytes) -> None:
        self.agent.adopt(config)
        self.boot.config = data
        self._news = True

    # The trial.

    def _step_trial(self, now: int) -> None:
        watch, running = self.watch, self.boot.slots.trial
        if watch is None or running is None:
            return
        phase = watch.phase
        word = watch.step(now)
        if word:
            self.roll_back(word + (" " + watch.why if watch.why else ""), now)
            return
        self._news = self._news or watch.phase != phase
        left = watch.left_to_keep(now)
        if left is not None and not self.keeper.busy():
            running.confirm_s = left
            self.keeper.store([self.boot.slots.record()], now)

    def roll_back(self, reason: str, now: int) -> None:
        """Go back at once; the store learns of it after."""
        slots = self.boot.slots
        counter = slots.trial.counter if slots.trial is not None else 0
        self.note([], "rolled back", counter, reason, now)
        write = slots.roll_back(reason)
        self.watch = None
        self._news = True
        before, self._before = self._before, None
        if before is not None:
            self._run(*before)
        self.keeper.store([write], now)
        if before is None:
            self.keeper.then(lambda _: self.agent.restart(), now)

    def confirm(self, now: int) -> None:
        """Make what is on trial the confirmed configuration."""
        slots = self.boot.slots
        counter = slots.trial.counter if slots.trial is not None else 0
        self.note([], "confirmed", counter, "version %d" % (slots.version + 1), now)
        self.keeper.store([slots.confirm()], now)
        self.watch, self._before = None, None
        self._news = True

    def _obey(self, message: "Command", who: "list[int]", now: int) -> None:
        """Do a command once it is durable that it was seen."""
        if self._orders is None:
            from agent.remote.command_table import Orders  # noqa: PLC0415 - see `agent.remote.module_unload`

            self._orders = Orders(self)
        orders = self._orders

        def act(then: int) -> None:
            try:
                result = orders.obey(message, then)
                self.accepted += 1
            except Refusal as refusal:
                self._refuse(refusal)
                self._unnoted -= 1
                result = str(refusal)
            self.tell("%d %s: %s" % (message.counter, message.name, result))
            self.note(who, "done " + message.name, message.counter, result, then)

        self.note(who, "command " + message.name, message.counter, "taken", now)
        self.keeper.store([self.boot.slots.seen(COMMAND, message.counter)], now)
        self.keeper.then(act, now)

    # What is said.

    def news(self) -> None:
        """Have the report published."""
        self._news = True

    def end(self) -> None:
        """Say the last word of a unit that is taken out of service."""
        self._ended = self._news = True
        self._said_config = self.boot.config
        if self.agent.uplink is not None:
            self.agent.uplink.say(CONFIG, b"", True)

    def unsaid(self) -> bool:
        """Say whether a report, or the configuration, still waits to leave."""
        uplink = self.agent.uplink
        waits = uplink is not None and (uplink.unsaid(REPORTED) or uplink.unsaid(CONFIG))
        return self._news or waits

    def tell(self, result: str) -> None:
        """Report what a command came to."""
        self.results = (self.results + [result])[-_MOST_RESULTS:]
        self._news = True

    def _refuse(
        self,
        refusal: Refusal,
        message: "Patch | Command | Manifest | None" = None,
        who: "list[int] | None" = None,
        now: int = 0,
    ) -> None:
        """Count and say a refusal; note it by itself when the message was truly signed."""
        self.refused += 1
        self.refusal = (refusal.reason, refusal.detail[:120])
        self._unsaid = True
        if message is None:
            self._unnoted += 1
        else:
            self.note(who or [], message.what(), message.counter, str(refusal), now)

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
                shown = canonical.write(canonical.shown(self.boot.raw()))
                self.agent.uplink.say(CONFIG, shown, True)

    def status(self, now: int) -> Object:
        """Show what runs, what is on trial, what became of the last messages."""
        slots, watch, audit = self.boot.slots, self.watch, self.keeper.audit
        ended: list[tuple[str, object]] = [("decommissioned", True)] if self._ended else []
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
                ("update", None if self.update is None else self.update.status()),
                ("audit", [audit.number, audit.head.hex()]),
            ]
            + ended
        )
