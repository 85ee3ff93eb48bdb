# SPDX-License-Identifier: Apache-2.0
"""The submissions of a process that are on their way, and the change that the unit has on trial.

Does not send and does not follow; see `deploy.northbound.access.writes`. The report of the unit has
only the counter of a trial. Its set-point is the one whose value differs from the last record
without a trial: so it is known for changes of other processes and of operators, too. A process that
has started during the trial does not know it.
"""

from dataclasses import dataclass, field

from deploy.northbound.access.types import Outcome, SetPointChange, UnitCommand
from deploy.northbound.snapshot import Snapshot

AGAIN_S = 5
"""A confirm or rollback without effect is sent again after this time; it doubles. The unit writes
an entry of its audit log for each one."""

Request = SetPointChange | UnitCommand


@dataclass(slots=True)
class OpenWrite:
    """A submission: the request and its user, the counter of its message, its state.

    `is_withdrawn`: the change is rolled back instead of confirmed. `right`: of the user then.
    """

    request: Request
    user: str
    address: str
    protocol: str
    kind: int
    counter: int = 0
    sent_at: float = 0.0
    tries: int = 0
    outcome: Outcome = field(default_factory=lambda: Outcome("pending"))
    confirm_at: float = 0.0
    confirm_pause_s: float = AGAIN_S
    missing_at: float | None = None
    is_withdrawn: bool = False
    right: str = ""

    def is_done(self) -> bool:
        """Whether the state is final."""
        return self.outcome.state in {"confirmed", "refused", "rolled_back"}


class TrialValues:
    """The values in force of the last record without a trial."""

    def __init__(self) -> None:
        self._kept: dict[str, int | None] = {}

    def update(self, snapshot: Snapshot) -> None:
        """Take a record over."""
        if not snapshot.stale and not snapshot.is_on_trial:
            self._kept = {key: item.configured for key, item in snapshot.setpoints.items()}

    def change(self, snapshot: Snapshot) -> SetPointChange | None:
        """Return what a record with a trial changes; None: it is not known."""
        found = [
            SetPointChange(key, item.configured)
            for key, item in snapshot.setpoints.items()
            if item.configured is not None
            and self._kept.get(key, item.configured) != item.configured
        ]
        return found[0] if len(found) == 1 else None
