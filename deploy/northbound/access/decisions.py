# SPDX-License-Identifier: Apache-2.0
"""The last decision of a protocol's clients on each set-point; whether another user replaced it.

A decision is a number that a client has written and that was sent to the unit, or was in force: the
counts of a register, or a raw value. It is replaced when the value in force changes without it.
That fact ends only with another decision, or when the value in force becomes that of the decision
again. No refusal, no silence, no stale record and no restart ends it: `Decisions` keeps it in a
file.

Does not decide on writes and knows no results; see `deploy.northbound.modbus.set_points` and
`deploy.northbound.bacnet.set_points`.
"""

import contextlib
import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.ops.private_file import replace_private


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision. `counts`: the number written. `base`: counts in force with it, or without it.

    `replaced`: another user has changed the value since. `client`: the last one that has written
    the value; "" if it is not known.
    """

    counts: int
    base: int
    replaced: bool = False
    client: str = ""


class Decisions:
    """The decisions by key of the set-point; in a file if there is one. A bad file has none.

    `keys`: the set-points that the protocol writes.
    """

    def __init__(self, path: Path | None, keys: Collection[str]) -> None:
        self._path = path
        self._by_key: dict[str, Decision] = {}
        try:
            data = json.loads(path.read_text()) if path else {}
            for key, (counts, base, replaced, *client) in data.items():
                if key in keys:
                    name = str(client[0]) if client else ""  # a file of before has none
                    self._by_key[key] = Decision(int(counts), int(base), bool(replaced), name)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            self._by_key = {}

    def set_points(self) -> tuple[str, ...]:
        """Return the set-points with a decision."""
        return tuple(self._by_key)

    def counts(self, key: str) -> int | None:
        """Return the value of the decision; None: there is none."""
        found = self._by_key.get(key)
        return found.counts if found else None

    def client(self, key: str) -> str:
        """Return the client that has written the decision last; "" if it is not known."""
        found = self._by_key.get(key)
        return found.client if found else ""

    def is_replaced(self, key: str) -> bool:
        """Return whether another user has replaced the decision."""
        found = self._by_key.get(key)
        return found is not None and found.replaced

    def is_kept(self, key: str) -> bool:
        """Return whether the value of the decision is in force, as far as it is known."""
        found = self._by_key.get(key)
        return found is not None and not found.replaced and found.counts == found.base

    def decide(self, key: str, counts: int, base: int, client: str = "") -> None:
        """Take a decision of `client` over; the one before ends.

        `base`: the counts in force before it, or `counts` if the unit has kept it.
        """
        self._set(key, Decision(counts, base, client=client))

    def keep(self, key: str) -> None:
        """Note that the unit has kept the value of a decision."""
        found = self._by_key.get(key)
        if found is not None:
            self._set(key, Decision(found.counts, found.counts, client=found.client))

    def end(self, key: str) -> None:
        """End a decision: the value has returned."""
        self._set(key, None)

    def compare(self, key: str, active: int) -> bool:
        """Compare a decision with the counts in force; return whether it was replaced just now."""
        found = self._by_key.get(key)
        if found is None:
            return False
        if active == found.counts:
            self._set(key, Decision(found.counts, active, client=found.client))
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
            data = {k: [d.counts, d.base, d.replaced, d.client] for k, d in self._by_key.items()}
            with contextlib.suppress(OSError):
                replace_private(self._path, json.dumps(data))
