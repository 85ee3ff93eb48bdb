"""What commands do: a table from a command's name to a method here; the rest is for the parts.

A method takes the arguments and returns what is reported as the result, or raises `Refusal`. It is
called once it is durable that the command was seen, between two ticks, and must be quick. A command
that is not in the table goes to the optional parts (`agent.core.registry.Part.order`): the first that knows
it does it. Where none does, it is refused as `unsupported`.

Not here: who may command what (`agent.remote.message.command`).
"""

from agent.core.errors import AgentError
from agent.remote.message.command import ROLES
from agent.remote.message.reject import Refusal
from agent.remote.update import trial
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.remote.capture import Capture
    from agent.remote.decommission import Wipe
    from agent.remote.export import Export
    from agent.remote.manager import Desk
    from agent.remote.message.command import Command
    from protocols.cbor import Map

_LONGEST_CAPTURE_S = 600


class Orders:
    """The commands of `desk`."""

    def __init__(self, desk: "Desk") -> None:
        self._desk = desk
        self._export: Export | None = None
        self._capture: Capture | None = None
        self._wipe: Wipe | None = None
        self._table: dict[str, Callable[[Map, int], str]] = {
            "confirm": self._confirm,
            "rollback": self._roll_back,
            "restart": self._restart,
            "fetch": self._fetch,
            "capture": self._start_capture,
            "decommission": self._decommission,
        }

    def obey(self, message: "Command", now: int) -> str:
        """Do it; give the result. Raises `Refusal`."""
        act = self._table.get(message.name)
        if act is not None:
            return act(message.arguments, now)
        try:
            for part in self._desk.agent.parts:
                result = part.order(message.name, message.arguments, now)
                if result is not None:
                    return result
        except AgentError as error:
            raise Refusal("out_of_range", str(error))
        if message.name in [name for name, _ in ROLES]:
            raise Refusal("unsupported", message.name)
        raise Refusal("unknown_key", "no command " + message.name)

    def resting(self) -> bool:
        """Say whether nothing here is under way."""
        return self._export is None and self._capture is None and self._wipe is None

    def tick(self, now: int) -> None:
        """Let what takes longer go on."""
        if self._capture is not None:
            self._capture.tick(now)
            if self._capture.done:
                self._end_capture(now)
        if self._export is not None:
            self._export.tick(now)
            if self._export.done:
                self._export = None
        if self._wipe is not None:
            self._wipe.tick(now)

    def record(self, data: bytes, now: int) -> None:
        """Take a record that the store was asked for."""
        if self._export is not None:
            self._export.record(data)

    def _confirm(self, arguments: "Map", now: int) -> str:
        desk = self._desk
        running = desk.boot.slots.trial
        if running is None and desk.update is not None:
            return desk.update.confirm(now)
        if running is None or desk.watch is None:
            raise Refusal("no_trial")
        if arguments.get("counter") not in (None, running.counter):
            raise Refusal("no_trial", "on trial is %d" % running.counter)
        if desk.watch.phase != trial.CONFIRM:
            raise Refusal("not_yet", "its health is still being watched")
        desk.confirm(now)
        return "confirmed"

    def _roll_back(self, _: "Map", now: int) -> str:
        desk = self._desk
        if desk.boot.slots.trial is None and desk.update is not None and desk.update.watch:
            desk.update.roll_back("on demand", now)
            return "rolled back"
        if desk.boot.slots.trial is None:
            raise Refusal("no_trial")
        desk.roll_back("on demand", now)
        return "rolled back"

    def _restart(self, _: "Map", now: int) -> str:
        self._desk.keeper.then(lambda _: self._desk.agent.restart(), now)
        return "restarting"

    def _decommission(self, _: "Map", now: int) -> str:
        from agent.remote.decommission import Wipe  # noqa: PLC0415 - once in a unit's life

        self._wipe = Wipe(self._desk, now)
        return "erases itself and ends"

    def _fetch(self, arguments: "Map", _: int) -> str:
        from agent.remote.export import Export, keys_of  # noqa: PLC0415 - rare

        keys = keys_of(str(arguments.get("what", "audit")))
        if not keys:
            raise Refusal("out_of_range", "what: audit or capture")
        if self._export is not None:
            raise Refusal("busy", "another export is on its way")
        self._export = Export(self._desk, keys)
        return "%d records" % len(keys)

    def _start_capture(self, arguments: "Map", now: int) -> str:
        from agent.remote.capture import Capture  # noqa: PLC0415 - rare

        agent = self._desk.agent
        name, seconds = arguments.get("port"), arguments.get("seconds", 10)
        names = agent.port_names()
        secret = type(name) is str and name.startswith("throttle.")  # logins pass there
        if name not in names or name in ("state", "console", "remote") or secret:
            raise Refusal("out_of_range", "port: one of " + " ".join(names))
        if type(seconds) is not int or not 1 <= seconds <= _LONGEST_CAPTURE_S:
            raise Refusal("out_of_range", "seconds: 1 to %d" % _LONGEST_CAPTURE_S)
        if self._capture is not None:
            raise Refusal("busy", "another capture runs")
        until = now + seconds * SECOND
        self._capture = Capture(agent, self._desk.keeper, names.index(name), until, now)
        return "capturing %s for %d s" % (name, seconds)

    def _end_capture(self, now: int) -> None:
        found, self._capture = self._capture, None
        if found is not None:
            text = "%d bytes of text, %d pieces dropped" % (found.bytes, found.dropped)
            self._desk.note([], "captured", 0, text, now)
            self._desk.tell("captured: " + text)
