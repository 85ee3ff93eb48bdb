# SPDX-License-Identifier: Apache-2.0
"""Component `receiver_setup`: sets the receiver up at the start, and again after it lost its
settings.

Does not contain the commands or evaluate the steps; see `drivers.gnss.setup_sequence`.

A receiver that lost its power uses its factory settings. If epochs show other settings than the
requested ones for `_LOST_EPOCHS`, the set-up runs again, at most once in ten minutes. A failed step
raises the alarm `gnss_setup`.
"""

from agent.core.alarm_record import NORMAL, AlarmRecord
from agent.core.component.base import Component
from agent.core.json_writer import JsonObject
from drivers.gnss.setup_check import CHECKS, SetupObservation
from drivers.gnss.setup_sequence import ACCEPTED_OUTCOMES, SetupSequence
from drivers.gnss.setup_step import SetupStep, build_steps
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.component.base import Actions
    from agent.core.context import Context
    from drivers.gnss.epoch import Epoch

GNSS_SETUP = AlarmRecord(
    "gnss_setup", NORMAL, "the receiver does not do what it is told:", "", True
)
RECEIVER = 0
_LOST_EPOCHS = 30
_REPEAT_PERIOD_US = 600 * SECOND
_TIMING = ("pulse_ms", "survey", "fixed")
_PERSISTENT = ("constellations", "sentences", "rate")


def make_steps(settings: "dict[str, Any]") -> "list[SetupStep]":
    """Return the steps for section `receiver_setup`.

    The code for pulse and position is loaded only if they are set. Raises `DriverError` for a
    setting that the receivers of the vendor do not have, or for which no command is known.
    """
    timing: tuple[SetupStep, ...] = ()
    if [name for name in _TIMING if name in settings]:
        from drivers.gnss.setup_timing import timing_steps  # noqa: PLC0415 - few units set them

        timing = tuple(timing_steps(settings["maker"], settings))
    return build_steps(
        settings["maker"],
        tuple(settings.get("constellations", [])),
        tuple(settings.get("sentences", [])),
        settings.get("rate_ms", 0),
        save=settings["save"] == "yes",
        timing=timing,
    )


class ReceiverSetup(Component):
    """The component; see the module. `runs` counts the set-ups."""

    def __init__(self, agent: "Context", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self._steps: list[SetupStep] = make_steps(settings)
        self.runs = 0
        self.setup: SetupSequence | None = None
        self._last_epoch: Epoch | None = None
        self._started_at = 0
        self._observation = SetupObservation()
        self._mismatch_count = 0

    def tick(self, now: int) -> None:
        """Pass on a new epoch; start the set-up at the first one."""
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
            self._start_setup(epoch, now)
        elif not self.setup.done:
            self.setup.take_epoch(epoch, now)
        elif self._is_setup_lost(epoch, now) and now - self._started_at > _REPEAT_PERIOD_US:
            self._start_setup(epoch, now)

    def _start_setup(self, epoch: "Epoch", now: int) -> None:
        self.runs += 1
        self._started_at = now
        self._mismatch_count = 0
        self.setup = SetupSequence(self._steps, now, 0, epoch.ubx_replies)

    def _is_setup_lost(self, epoch: "Epoch", now: int) -> bool:
        """Return whether the epochs have not shown the requested settings for `_LOST_EPOCHS`."""
        persistent = [step for step in self._steps if step.name in _PERSISTENT]
        results = [CHECKS[step.name](step, epoch, self._observation, now) for step in persistent]
        self._mismatch_count = self._mismatch_count + 1 if False in results else 0
        return self._mismatch_count >= _LOST_EPOCHS

    def _update_alarm(self, now: int) -> None:
        if self.setup is None or not self.setup.done:
            return
        failed = [
            result.name for result in self.setup.results if result.outcome not in ACCEPTED_OUTCOMES
        ]
        text = GNSS_SETUP.text + " " + ", ".join(failed)
        self.agent.alarms.update(GNSS_SETUP, "", bool(failed), now, text)

    def outbox(self) -> "Actions":
        """Return the commands for the receiver."""
        if self.setup is None:
            return []
        return [(RECEIVER, op, data) for op, data in self.setup.outbox()]

    def status(self, now: int) -> JsonObject:
        """Return the outcome of each step."""
        outcomes = self.setup.results if self.setup is not None else []
        shown = [
            JsonObject(
                [("step", outcome.name), ("verdict", outcome.outcome), ("seen", outcome.observed)]
            )
            for outcome in outcomes
        ]
        return JsonObject([("runs", self.runs), ("steps", shown)])
