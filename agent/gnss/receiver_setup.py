"""The part `receiver_setup`: it sets the receiver up at the start, and again when it forgot.

How a step is asked for and judged is `drivers.gnss`'s affair; here it is given the epochs of the
receiver and its port. A receiver that lost its power speaks as the factory made it: when for a
while epochs no longer show what was wished, it is set up anew, at most once in ten minutes. What it
does not do is the alarm `gnss_setup`.
"""

from agent.core.component import Part
from agent.core.json_writer import Object
from drivers.gnss.setup_check import CHECKS, Seen
from drivers.gnss.setup_sequence import GOOD, Setup
from drivers.gnss.setup_step import Step, steps
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent
    from agent.core.component import Actions
    from drivers.gnss.epoch import Epoch

RECEIVER = 0
_FORGOTTEN = 30
_AGAIN = 600 * SECOND
_LASTING = ("constellations", "sentences", "rate")


class ReceiverSetup(Part):
    """See the module. `runs` counts set-ups."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", port: int) -> None:
        Part.__init__(self, agent, settings, port)
        self._steps: list[Step] = steps(
            settings["maker"],
            tuple(settings.get("constellations", [])),
            tuple(settings.get("sentences", [])),
            settings.get("rate_ms", 0),
            save=settings["save"] == "yes",
        )
        self.runs = 0
        self.setup: Setup | None = None
        self._last: Epoch | None = None
        self._since = 0
        self._seen = Seen()
        self._wrong = 0

    def tick(self, now: int) -> None:
        """Hand over a new epoch; begin when the first has come."""
        receiver = self.agent.receiver
        if receiver is None:
            return
        epoch = receiver.epoch(now)
        if epoch is not None and epoch is not self._last:
            self._last = epoch
            self._take(epoch, now)
        if self.setup is not None and now >= self.setup.deadline():
            self.setup.wake(now)
        self._judge(now)

    def _take(self, epoch: "Epoch", now: int) -> None:
        if self.setup is None:
            self._begin(now)
        elif not self.setup.done:
            self.setup.epoch(epoch, now)
        elif self._forgot(epoch, now) and now - self._since > _AGAIN:
            self._begin(now)

    def _begin(self, now: int) -> None:
        self.runs += 1
        self._since = now
        self._wrong = 0
        self.setup = Setup(self._steps, now)

    def _forgot(self, epoch: "Epoch", now: int) -> bool:
        """Whether what was done is seen no more, for thirty epochs."""
        lasting = [step for step in self._steps if step.name in _LASTING]
        shown = [CHECKS[step.name](step, epoch, self._seen, now) for step in lasting]
        self._wrong = self._wrong + 1 if False in shown else 0
        return self._wrong >= _FORGOTTEN

    def _judge(self, now: int) -> None:
        if self.setup is None or not self.setup.done:
            return
        bad = [o.name for o in self.setup.outcomes if o.verdict not in GOOD]
        text = "the receiver does not do what it is told: " + ", ".join(bad)
        self.agent.alarms.set("gnss_setup", bool(bad), text, now)

    def outbox(self) -> "Actions":
        """Hand over what the receiver is told."""
        if self.setup is None:
            return []
        return [(RECEIVER, op, data) for op, data in self.setup.outbox()]

    def status(self, now: int) -> Object:
        """Show how each step ended."""
        outcomes = self.setup.outcomes if self.setup is not None else []
        shown = [
            Object([("step", o.name), ("verdict", o.verdict), ("seen", o.seen)]) for o in outcomes
        ]
        return Object([("runs", self.runs), ("steps", shown)])
