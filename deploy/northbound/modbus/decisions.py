# SPDX-License-Identifier: Apache-2.0
"""The last decision of the Modbus clients on each set-point, and whether another user replaced it.

A decision is a value that a client has written and that was sent to the unit, or was in force. It
is replaced when the value in force changes without it. That fact ends only with another decision,
or when the value in force becomes that of the decision again. No refusal, no silence, no stale
record and no restart ends it: `Decisions` keeps it in a file.

Does not decide on writes and knows no results; see `deploy.northbound.modbus.set_points`.
"""

import contextlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.northbound.modbus import layout
from deploy.ops.private_file import replace_private


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision. `counts`: of the register. `base`: counts in force with it, or without it.

    `replaced`: another user has changed the value since.
    """

    counts: int
    base: int
    replaced: bool = False


class Decisions:
    """The decisions by key of the set-point; in a file if there is one. A bad file has none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._by_key: dict[str, Decision] = {}
        try:
            data = json.loads(path.read_text()) if path else {}
            for key, (counts, base, replaced) in data.items():
                if key in layout.SETPOINT_SLOTS:
                    self._by_key[key] = Decision(int(counts), int(base), bool(replaced))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            self._by_key = {}

    def set_points(self) -> tuple[str, ...]:
        """Return the set-points with a decision."""
        return tuple(self._by_key)

    def counts(self, key: str) -> int | None:
        """Return the value of the decision; None: there is none."""
        found = self._by_key.get(key)
        return found.counts if found else None

    def is_replaced(self, key: str) -> bool:
        """Return whether another user has replaced the decision."""
        found = self._by_key.get(key)
        return found is not None and found.replaced

    def is_kept(self, key: str) -> bool:
        """Return whether the value of the decision is in force, as far as it is known."""
        found = self._by_key.get(key)
        return found is not None and not found.replaced and found.counts == found.base

    def decide(self, key: str, counts: int, base: int) -> None:
        """Take a decision over; the one before ends.

        `base`: the counts in force before it, or `counts` if the unit has kept it.
        """
        self._set(key, Decision(counts, base))

    def end(self, key: str) -> None:
        """End a decision: the value has returned."""
        self._set(key, None)

    def compare(self, key: str, active: int) -> bool:
        """Compare a decision with the counts in force; return whether it was replaced just now."""
        found = self._by_key.get(key)
        if found is None:
            return False
        if active == found.counts:
            self._set(key, Decision(found.counts, active))
        elif active != found.base and not found.replaced:
            self._set(key, replace(found, replaced=True))
            return True
        return False

    def _set(self, key: str, decision: Decision | None) -> None:
        """Change one decision and the file; a full disk costs the memory over a restart only."""
        if self._by_key.get(key) == decision:
            return
        self._by_key.pop(key, None)
        if decision is not None:
            self._by_key[key] = decision
        if self._path is not None:
            data = {k: [d.counts, d.base, d.replaced] for k, d in self._by_key.items()}
            with contextlib.suppress(OSError):
                replace_private(self._path, json.dumps(data))
