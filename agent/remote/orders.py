"""What commands do: a table from a command's name to a method here.

A method takes the arguments and returns what is reported as the result, or raises `Refusal`. It is
called once it is durable that the command was seen, between two ticks, and must be quick.

Not here: who may command what (`agent.remote.command`), and the doing itself: that is the agent's.
"""

from agent.remote import trial
from agent.remote.reasons import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.remote.command import Command
    from agent.remote.desk import Desk
    from protocols.cbor import Map


class Orders:
    """The commands of `desk`."""

    def __init__(self, desk: "Desk") -> None:
        self._desk = desk
        self._table: dict[str, Callable[[Map, int], str]] = {
            "confirm": self._confirm,
            "rollback": self._roll_back,
            "acknowledge": self._acknowledge,
            "restart": self._restart,
        }

    def obey(self, message: "Command", now: int) -> str:
        """Do it; give the result. Raises `Refusal`."""
        act = self._table.get(message.name)
        if act is None:
            raise Refusal("unknown_key", "no command " + message.name)
        return act(message.arguments, now)

    def tick(self, now: int) -> None:
        """Let time pass."""

    def record(self, data: bytes, now: int) -> None:
        """Take a record that the store was asked for."""

    def _confirm(self, arguments: "Map", now: int) -> str:
        desk = self._desk
        running = desk.boot.slots.trial
        if running is None or desk.watch is None:
            raise Refusal("no_trial")
        if arguments.get("counter") not in (None, running.counter):
            raise Refusal("no_trial", "on trial is %d" % running.counter)
        if desk.watch.phase != trial.CONFIRM:
            raise Refusal("not_yet", "its health is still being watched")
        desk.confirm(now)
        return "confirmed"

    def _roll_back(self, _: "Map", now: int) -> str:
        if self._desk.boot.slots.trial is None:
            raise Refusal("no_trial")
        self._desk.roll_back("on demand", now)
        return "rolled back"

    def _acknowledge(self, _: "Map", __: int) -> str:
        return "%d alarms" % len(self._desk.agent.alarms.codes())

    def _restart(self, _: "Map", now: int) -> str:
        self._desk.keeper.then(lambda _: self._desk.agent.restart(), now)
        return "restarting"
