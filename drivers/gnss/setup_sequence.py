# SPDX-License-Identifier: Apache-2.0
"""Receiver set-up, step by step; the received epochs verify each step.

Does not rely on acknowledgements: some receivers acknowledge commands that they do not execute (for
example the leap second message of CASIC V5). Opens no port and reads no clock. The caller passes
the receiver's epochs and calls `wake` at `deadline`. `outbox` has the bytes to write and the port
options to set.

A step works as follows. The sequence checks the setting in `_HOLD_EPOCHS` epochs; if it is already
in effect, it sends nothing. Otherwise it sends the commands and checks the next epochs until the
timeout (`_TIMEOUTS`), then a second time. A result without a visible effect (saving, a hot start,
the pulse, the position) is "unproven"; it is "refused" if the receiver only answered UBX-ACK-NAK.
"""

from drivers.gnss.setup_check import CHECKS, SetupObservation
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.gnss.epoch import Epoch
    from drivers.gnss.setup_step import SetupStep

    Actions = list[tuple[str, bytes]]

_HOLD_EPOCHS = 3
_MAX_ATTEMPTS = 2
_SETTLE_US = SECOND
_TIMEOUTS = {
    "constellations": 60 * SECOND,
    "start": 180 * SECOND,
    "save": SECOND,
    "pulse": 3 * SECOND,
    "position": 3 * SECOND,
}
_DEFAULT_TIMEOUT_US = 20 * SECOND
_HOT_START_US = 12 * SECOND
"""A hot start without an effect within this time is unproven."""

DONE, ALREADY_SET, REFUSED, UNVERIFIED, NO_DATA = "done", "already", "refused", "unproven", "silent"
_UNSEEN = ("save", "pulse", "position")
"""Steps whose effect no sentence shows."""
_WITHOUT_CHECK = _UNSEEN + ("start", "baud")
ACCEPTED_OUTCOMES = (DONE, ALREADY_SET, UNVERIFIED)


class SetupResult:
    """The result of a step: its name, outcome, last observation and acknowledgement."""

    def __init__(self, step: "SetupStep", outcome: str, observed: str, acknowledged: bool) -> None:
        self.name = step.name
        self.requested = step.value
        self.outcome = outcome
        self.observed = observed
        self.acknowledged = acknowledged


class SetupSequence:
    """The sequence; see the module. `results` has one entry per finished step.

    `replies`: `Epoch.ubx_replies` before the first command.
    """

    def __init__(
        self,
        steps: "list[SetupStep]",
        now: int,
        baud: int = 0,
        replies: "tuple[int, int]" = (0, 0),
    ) -> None:
        self.results: list[SetupResult] = []
        self._steps = steps
        self._baud = baud
        self._actions: Actions = []
        self._replies = replies
        self._timeout_at = NEVER
        self._start_step(now)

    @property
    def done(self) -> bool:
        """True if every step is finished."""
        return len(self.results) >= len(self._steps)

    def succeeded(self) -> bool:
        """Return True if every step is done, was already set, or is unproven."""
        return self.done and not [
            result for result in self.results if result.outcome not in ACCEPTED_OUTCOMES
        ]

    def _current_step(self) -> "SetupStep":
        return self._steps[len(self.results)]

    def _start_step(self, now: int) -> None:
        """Start the next step: check its setting before any command is sent."""
        self._consecutive = self._attempts = self._epoch_count = 0
        self._acknowledged = self._rejected = False
        self._observation = SetupObservation()
        self._settled_at = now
        self._timeout_at = NEVER
        if self.done:
            return
        if self._current_step().name in _WITHOUT_CHECK:
            self._send_commands(now)
        else:
            self._timeout_at = now + _DEFAULT_TIMEOUT_US

    def _send_commands(self, now: int) -> None:
        step = self._current_step()
        self._attempts += 1
        self._consecutive = 0
        self._observation = SetupObservation()
        self._actions += [("write", command) for command in step.commands]
        self._settled_at = now + _SETTLE_US
        self._timeout_at = now + _TIMEOUTS.get(step.name, _DEFAULT_TIMEOUT_US)
        if step.name == "baud":
            self._actions.append(("set", b"baud=%d" % step.int_value()))

    def take_epoch(self, epoch: "Epoch", now: int) -> None:
        """Check an epoch of the receiver."""
        if self.done:
            return
        self._epoch_count += 1
        self._acknowledged = self._acknowledged or is_acknowledged(epoch.group.bodies)
        self._take_replies(epoch.ubx_replies)
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
            self._finish_step(DONE if self._attempts else ALREADY_SET, now)
        elif not self._attempts and not is_fulfilled:
            self._send_commands(now)

    def _take_replies(self, replies: "tuple[int, int]") -> None:
        """Compare the number of UBX-ACK-ACK and UBX-ACK-NAK with that of the epoch before."""
        last = self._replies
        self._replies = replies
        if self._attempts:
            self._acknowledged = self._acknowledged or replies[0] > last[0]
            self._rejected = self._rejected or replies[1] > last[1]

    def wake(self, now: int) -> None:
        """Handle the deadline."""
        if self.done or now < self._timeout_at:
            return
        step = self._current_step()
        if step.name in _UNSEEN:
            is_refused = self._rejected and not self._acknowledged
            self._finish_step(REFUSED if is_refused else UNVERIFIED, now)
        elif step.name == "start" and not self._observation.interrupted:
            self._finish_step(UNVERIFIED if step.value[0] == "hot" else REFUSED, now)
        elif self._attempts < _MAX_ATTEMPTS:
            self._restore_baud()
            self._send_commands(now)
        else:
            self._restore_baud()
            has_data = self._epoch_count or step.name == "baud"
            self._finish_step(REFUSED if has_data else NO_DATA, now)

    def _restore_baud(self) -> None:
        """Return to the last working baud rate of the receiver."""
        if self._current_step().name == "baud" and self._baud:
            self._actions.append(("set", b"baud=%d" % self._baud))

    def _finish_step(self, outcome: str, now: int) -> None:
        step = self._current_step()
        if step.name == "baud" and outcome == DONE:
            self._baud = step.int_value()
        self.results.append(SetupResult(step, outcome, self._observation.text, self._acknowledged))
        self._start_step(now)

    def deadline(self) -> int:
        """Return the time of the next `wake`."""
        return NEVER if self.done else self._timeout_at

    def outbox(self) -> "Actions":
        """Return and clear the actions: (write, bytes) or (set, options of the port)."""
        actions, self._actions = self._actions, []
        return actions


def is_acknowledged(bodies: "list[bytes]") -> bool:
    """Return True if a sentence acknowledges a command."""
    for body in bodies:
        if body.startswith(b"command,") and body.endswith(b"OK"):
            return True
        if body.startswith(b"PAIR001,") and body.endswith(b",0"):
            return True
        if body.startswith(b"PQTM") and body.endswith(b",OK"):
            return True
        if body.startswith((b"PSTMSET", b"PSTMSAVE")) and body.split(b",", 1)[0].endswith(b"OK"):
            return True
        if body.startswith(b"PTNLR") and body.endswith(b",A"):
            return True
    return False
