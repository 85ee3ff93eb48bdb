# SPDX-License-Identifier: Apache-2.0
"""Changes that the unit has kept, by its record: also those that operators have signed.

Does not know who has sent a change; see `counter_lock`. The message of a change names the
configuration that it changes by its hash, so also the values that it leaves. The record does not
tell which values it has, so a kept change is a decision for all values in force.
"""

from typing import NamedTuple

from deploy.northbound.snapshot import Snapshot


class KeptChange(NamedTuple):
    """The newest kept change. `values`: the set-points in force after it, raw, by key."""

    counter: int
    values: dict[str, int]


class KeptChanges:
    """Notes the newest kept change of the records."""

    def __init__(self) -> None:
        self._last = KeptChange(0, {})

    def take(self, snapshot: Snapshot) -> KeptChange | None:
        """Return the kept change of a record; None: there is none, or it was returned before."""
        remote = snapshot.details.get("remote")
        if snapshot.stale or snapshot.is_on_trial or not isinstance(remote, dict):
            return None
        last = remote.get("last")
        if not isinstance(last, list) or len(last) < 2 or type(last[0]) is not int:
            return None
        found = snapshot.setpoints.values()
        values = {item.key: item.configured for item in found if item.configured is not None}
        change = KeptChange(last[0], values)
        if last[1] != "confirmed" or change == self._last:
            return None
        self._last = change
        return change
