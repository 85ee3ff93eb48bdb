"""A receiver set up step by step, each step judged by what the receiver then sends.

Not by its acknowledgement: receivers acknowledge what they never do (CASIC's leap second message,
of V5). It opens nothing and reads no clock; whoever drives it hands over the receiver's epochs, and
calls `wake` when `deadline` has passed; `outbox` has what is to be written, or set at the port.

A step goes like this. Its wish is looked for in `_HOLD` epochs: if it is fulfilled already, nothing
is sent. Else its commands are sent, and the epochs after them looked at, for `_PATIENCE`; then once
more. What cannot be seen (saving, a hot start that shows nothing) is called unproven.
"""

from drivers.gnss.setup_check import CHECKS, Seen
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.gnss.epoch import Epoch
    from drivers.gnss.setup_step import Step

    Actions = list[tuple[str, bytes]]

_HOLD = 3
_TRIES = 2
_SETTLE = SECOND
_PATIENCE = {"constellations": 60 * SECOND, "start": 180 * SECOND}
_PATIENCE_ELSE = 20 * SECOND
_UNSEEN = 12 * SECOND
"""A hot start that showed nothing by then will show nothing."""

DONE, ALREADY, REFUSED, UNPROVEN, SILENT = "done", "already", "refused", "unproven", "silent"
GOOD = (DONE, ALREADY, UNPROVEN)


class Outcome:
    """How a step ended: its name, the verdict, what was seen last, whether it was acknowledged."""

    def __init__(self, step: "Step", verdict: str, seen: str, acknowledged: bool) -> None:
        self.name = step.name
        self.wish = step.value
        self.verdict = verdict
        self.seen = seen
        self.acknowledged = acknowledged


class Setup:
    """See the module. `outcomes` grows by one a step; `done` when all are judged."""

    def __init__(self, steps: "list[Step]", now: int, baud: int = 0) -> None:
        self.outcomes: list[Outcome] = []
        self._steps = steps
        self._baud = baud
        self._out: Actions = []
        self._due = NEVER
        self._begin(now)

    @property
    def done(self) -> bool:
        """Whether every step is judged."""
        return len(self.outcomes) >= len(self._steps)

    def good(self) -> bool:
        """Whether every step was done, or cannot be seen."""
        return self.done and not [o for o in self.outcomes if o.verdict not in GOOD]

    def _step(self) -> "Step":
        return self._steps[len(self.outcomes)]

    def _begin(self, now: int) -> None:
        """Look at the next step's wish, before anything is sent for it."""
        self._row = self._tries = self._looked = 0
        self._acknowledged = False
        self._seen = Seen()
        self._settled = now
        self._due = NEVER
        if self.done:
            return
        if self._step().name in ("save", "start", "baud"):
            self._send(now)
        else:
            self._due = now + _PATIENCE_ELSE

    def _send(self, now: int) -> None:
        step = self._step()
        self._tries += 1
        self._row = 0
        self._seen = Seen()
        self._out += [("write", command) for command in step.commands]
        self._settled = now + _SETTLE
        self._due = now + _PATIENCE.get(step.name, _PATIENCE_ELSE)
        if step.name == "save":
            self._due = now + _SETTLE
        if step.name == "baud":
            self._out.append(("set", b"baud=%d" % step.number()))

    def epoch(self, epoch: "Epoch", now: int) -> None:
        """Take an epoch of the receiver."""
        if self.done:
            return
        self._looked += 1
        self._acknowledged = self._acknowledged or acknowledges(epoch.burst.bodies)
        if now < self._settled:
            return
        step = self._step()
        check = CHECKS.get(step.name)
        if check is None:
            return
        holds = check(step, epoch, self._seen, now)
        if holds is None:
            return
        self._row = self._row + 1 if holds else 0
        if self._row >= _HOLD:
            self._end(DONE if self._tries else ALREADY, now)
        elif not self._tries and not holds:
            self._send(now)

    def wake(self, now: int) -> None:
        """Take the passing of the deadline."""
        if self.done or now < self._due:
            return
        step = self._step()
        if step.name == "save":
            self._end(UNPROVEN, now)
        elif step.name == "start" and not self._seen.disturbed:
            self._end(UNPROVEN if step.value[0] == "hot" else REFUSED, now)
        elif self._tries < _TRIES:
            self._back()
            self._send(now)
        else:
            self._back()
            heard = self._looked or step.name == "baud"
            self._end(REFUSED if heard else SILENT, now)

    def _back(self) -> None:
        """Return to the speed at which the receiver was heard."""
        if self._step().name == "baud" and self._baud:
            self._out.append(("set", b"baud=%d" % self._baud))

    def _end(self, verdict: str, now: int) -> None:
        step = self._step()
        if step.name == "baud" and verdict == DONE:
            self._baud = step.number()
        self.outcomes.append(Outcome(step, verdict, self._seen.text, self._acknowledged))
        self._begin(now)

    def deadline(self) -> int:
        """When `wake` wants to be called."""
        return NEVER if self.done else self._due

    def outbox(self) -> "Actions":
        """Hand over what is to be done: (write, bytes) or (set, options of the port)."""
        out, self._out = self._out, []
        return out


def acknowledges(bodies: "list[bytes]") -> bool:
    """Whether one of the sentences says that a command was taken."""
    for body in bodies:
        if body.startswith(b"command,") and body.endswith(b"OK"):
            return True
        if body.startswith(b"PAIR001,") and body.endswith(b",0"):
            return True
        if body.startswith(b"PQTM") and body.endswith(b",OK"):
            return True
    return False
