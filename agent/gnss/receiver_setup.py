"""The part `receiver_setup`: it sets the receiver up at the start, and again when it forgot.

How a step is asked for and judged is `drivers.gnss`'s affair; here it is given the epochs of the
receiver and its port. A receiver that lost its power speaks as the factory made it: when for a
while epochs no longer show what was wished, it is set up anew, at most once in ten minutes. What it
does not do is the alarm `gnss_setup`.
"""

from agent.core.component import Component
from agent.core.json_writer import JsonObject
from drivers.gnss.setup_check import CHECKS, SetupObservation
from drivers.gnss.setup_sequence import ACCEPTED_OUTCOMES, SetupSequence
from drivers.gnss.setup_step import SetupStep, build_steps
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.component import Actions
    from agent.core.context import Context
    from drivers.gnss.epoch import Epoch

RECEIVER = 0
_LOST_EPOCHS = 30
_REPEAT_PERIOD = 600 * SECOND
_PERSISTENT = ("constellations", "sentences", "rate")


class ReceiverSetup(Component):
    """See the module. `runs` counts set-ups."""

    def __init__(self, agent: "Context", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self._steps: list[SetupStep] = build_steps(
            settings["maker"],
            tuple(settings.get("constellations", [])),
            tuple(settings.get("sentences", [])),
            settings.get("rate_ms", 0),
            save=settings["save"] == "yes",
        )
        self.runs = 0
        self.setup: SetupSequence | None = None
        self._last_epoch: Epoch | None = None
        self._started_at = 0
        self._observation = SetupObservation()
        self._mismatch_count = 0

    def tick(self, now: int) -> None:
        """Hand over a new epoch; begin when the first has come."""
        receiver = self.agent.receiver
        if receiver is None:
            return
        epoch = receiver.last_epoch(now)
        if epoch is not None and epoch is not self._last_epoch:
            self._last_epoch = epoch
            self._handle_epoch(epoch, now)
        if self.setup is not None and now >= self.setup.deadline():
            self.setup.wake(now)
        self._update_alarm(now)

    def _handle_epoch(self, epoch: "Epoch", now: int) -> None:
        if self.setup is None:
            self._start_setup(now)
        elif not self.setup.done:
            self.setup.take_epoch(epoch, now)
        elif self._is_setup_lost(epoch, now) and now - self._started_at > _REPEAT_PERIOD:
            self._start_setup(now)

    def _start_setup(self, now: int) -> None:
        self.runs += 1
        self._started_at = now
        self._mismatch_count = 0
        self.setup = SetupSequence(self._steps, now)

    def _is_setup_lost(self, epoch: "Epoch", now: int) -> bool:
        """Whether what was done is seen no more, for thirty epochs."""
        persistent = [step for step in self._steps if step.name in _PERSISTENT]
        results = [CHECKS[step.name](step, epoch, self._observation, now) for step in persistent]
        self._mismatch_count = self._mismatch_count + 1 if False in results else 0
        return self._mismatch_count >= _LOST_EPOCHS

    def _update_alarm(self, now: int) -> None:
        if self.setup is None or not self.setup.done:
            return
        failed = [o.name for o in self.setup.results if o.outcome not in ACCEPTED_OUTCOMES]
        text = "the receiver does not do what it is told: " + ", ".join(failed)
        self.agent.alarms.update("gnss_setup", bool(failed), text, now)

    def outbox(self) -> "Actions":
        """Hand over what the receiver is told."""
        if self.setup is None:
            return []
        return [(RECEIVER, op, data) for op, data in self.setup.outbox()]

    def status(self, now: int) -> JsonObject:
        """Show how each step ended."""
        outcomes = self.setup.results if self.setup is not None else []
        shown = [
            JsonObject([("step", o.name), ("verdict", o.outcome), ("seen", o.observed)])
            for o in outcomes
        ]
        return JsonObject([("runs", self.runs), ("steps", shown)])
