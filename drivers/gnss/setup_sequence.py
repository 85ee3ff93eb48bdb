"""A receiver set up step by step, each step judged by what the receiver then sends.

Not by its acknowledgement: receivers acknowledge what they never do (CASIC's leap second message,
of V5). It opens nothing and reads no clock; whoever drives it hands over the receiver's epochs, and
calls `wake` when `deadline` has passed; `outbox` has what is to be written, or set at the port.

A step goes like this. Its wish is looked for in `_HOLD_EPOCHS` epochs: if it is fulfilled already,
nothing is sent. Else its commands are sent, and the epochs after them looked at, for `_TIMEOUTS`;
then once more. What cannot be seen (saving, a hot start that shows nothing) is called unproven.
"""

from drivers.gnss.setup_check import CHECKS, SetupObservation
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.gnss.epoch import Epoch
    from drivers.gnss.setup_step import SetupStep

    Actions = list[tuple[str, bytes]]

_HOLD_EPOCHS = 3
_MAX_TRIES = 2
_SETTLE_TIME = SECOND
_TIMEOUTS = {"constellations": 60 * SECOND, "start": 180 * SECOND}
_DEFAULT_TIMEOUT = 20 * SECOND
_HOT_START_TIMEOUT = 12 * SECOND
"""A hot start that showed nothing by then will show nothing."""

DONE, ALREADY_SET, REFUSED, UNVERIFIED, NO_DATA = "done", "already", "refused", "unproven", "silent"
ACCEPTED_OUTCOMES = (DONE, ALREADY_SET, UNVERIFIED)


class SetupResult:
    """How a step ended: its name, the verdict, what was seen last, whether it was acknowledged."""

    def __init__(self, step: "SetupStep", outcome: str, observed: str, acknowledged: bool) -> None:
        self.name = step.name
        self.requested = step.value
        self.outcome = outcome
        self.observed = observed
        self.acknowledged = acknowledged


class SetupSequence:
    """See the module. `results` grows by one a step; `done` when all are judged."""

    def __init__(self, steps: "list[SetupStep]", now: int, baud: int = 0) -> None:
        self.results: list[SetupResult] = []
        self._steps = steps
        self._baud = baud
        self._actions: Actions = []
        self._timeout_at = NEVER
        self._start_step(now)

    @property
    def done(self) -> bool:
        """Whether every step is judged."""
        return len(self.results) >= len(self._steps)

    def succeeded(self) -> bool:
        """Whether every step was done, or cannot be seen."""
        return self.done and not [o for o in self.results if o.outcome not in ACCEPTED_OUTCOMES]

    def _current_step(self) -> "SetupStep":
        return self._steps[len(self.results)]

    def _start_step(self, now: int) -> None:
        """Look at the next step's wish, before anything is sent for it."""
        self._consecutive = self._tries = self._epoch_count = 0
        self._acknowledged = False
        self._observation = SetupObservation()
        self._settled_at = now
        self._timeout_at = NEVER
        if self.done:
            return
        if self._current_step().name in ("save", "start", "baud"):
            self._send_commands(now)
        else:
            self._timeout_at = now + _DEFAULT_TIMEOUT

    def _send_commands(self, now: int) -> None:
        step = self._current_step()
        self._tries += 1
        self._consecutive = 0
        self._observation = SetupObservation()
        self._actions += [("write", command) for command in step.commands]
        self._settled_at = now + _SETTLE_TIME
        self._timeout_at = now + _TIMEOUTS.get(step.name, _DEFAULT_TIMEOUT)
        if step.name == "save":
            self._timeout_at = now + _SETTLE_TIME
        if step.name == "baud":
            self._actions.append(("set", b"baud=%d" % step.int_value()))

    def take_epoch(self, epoch: "Epoch", now: int) -> None:
        """Take an epoch of the receiver."""
        if self.done:
            return
        self._epoch_count += 1
        self._acknowledged = self._acknowledged or is_acknowledged(epoch.group.bodies)
        if now < self._settled_at:
            return
        step = self._current_step()
        check = CHECKS.get(step.name)
        if check is None:
            return
        is_fulfilled = check(step, epoch, self._observation, now)
        if is_fulfilled is None:
            return
        self._consecutive = self._consecutive + 1 if is_fulfilled else 0
        if self._consecutive >= _HOLD_EPOCHS:
            self._finish_step(DONE if self._tries else ALREADY_SET, now)
        elif not self._tries and not is_fulfilled:
            self._send_commands(now)

    def wake(self, now: int) -> None:
        """Take the passing of the deadline."""
        if self.done or now < self._timeout_at:
            return
        step = self._current_step()
        if step.name == "save":
            self._finish_step(UNVERIFIED, now)
        elif step.name == "start" and not self._observation.interrupted:
            self._finish_step(UNVERIFIED if step.value[0] == "hot" else REFUSED, now)
        elif self._tries < _MAX_TRIES:
            self._restore_baud()
            self._send_commands(now)
        else:
            self._restore_baud()
            has_data = self._epoch_count or step.name == "baud"
            self._finish_step(REFUSED if has_data else NO_DATA, now)

    def _restore_baud(self) -> None:
        """Return to the speed at which the receiver was heard."""
        if self._current_step().name == "baud" and self._baud:
            self._actions.append(("set", b"baud=%d" % self._baud))

    def _finish_step(self, outcome: str, now: int) -> None:
        step = self._current_step()
        if step.name == "baud" and outcome == DONE:
            self._baud = step.int_value()
        self.results.append(SetupResult(step, outcome, self._observation.text, self._acknowledged))
        self._start_step(now)

    def deadline(self) -> int:
        """When `wake` wants to be called."""
        return NEVER if self.done else self._timeout_at

    def outbox(self) -> "Actions":
        """Hand over what is to be done: (write, bytes) or (set, options of the port)."""
        actions, self._actions = self._actions, []
        return actions


def is_acknowledged(bodies: "list[bytes]") -> bool:
    """Whether one of the sentences says that a command was taken."""
    for body in bodies:
        if body.startswith(b"command,") and body.endswith(b"OK"):
            return True
        if body.startswith(b"PAIR001,") and body.endswith(b",0"):
            return True
        if body.startswith(b"PQTM") and body.endswith(b",OK"):
            return True
    return False
