# SPDX-License-Identifier: Apache-2.0
"""The last decision of a protocol's clients on each set-point, and what has become of it.

A decision is a number that a client has written and that was sent to the unit, or was in force: the
counts of a register, or a raw value. It is replaced when the value in force changes without it, or
when another client decides on another value. That, and that the unit has rolled a decision back,
are facts for each client that wrote the value. A fact ends when this client writes another value,
or when the value comes into force. No refusal, no silence, no stale record and no restart ends it:
`Decisions` keeps it in a file.

`judge` is the one rule of Modbus and BACnet for a client that writes its value in each cycle:

    the value is                                        it is
    replaced by another user                            held: REPLACED
    rolled back, of the same client                     held: ROLLED_BACK
    on its way or on trial                              taken without a message: ON_TRIAL
    kept, or the configured one                         taken without a message: KEPT
    another one                                         a new change: SEND

Does not send and knows no results of a protocol; see `deploy.northbound.modbus.set_points` and
`deploy.northbound.bacnet.set_points`.
"""

import contextlib
import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deploy.ops.private_file import load_state, replace_private

SEND, KEPT, ON_TRIAL, ROLLED_BACK, REPLACED, REFUSED = (
    "send", "kept", "on trial", "rolled back", "replaced", "refused",
)  # fmt: skip
HELD = {
    ROLLED_BACK: "the client repeats its value, the unit has rolled it back",
    REPLACED: "the client repeats its old value, another user has changed it",
}
"""Verdicts that send nothing, and their texts for the audit log."""
_STATES = (KEPT, ON_TRIAL, ROLLED_BACK, REPLACED, REFUSED)
_SETTLE_S = 5.0
"""Time after the end of a change in which the record may still have the value before the end."""
_MOST_CLIENTS = 64
_CLAIMS = "claims"


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision. `counts`: the number written. `base`: counts in force with it, or without it.

    `state`: what has become of it; ON_TRIAL until its outcome is known. `client`: the last one that
    has written the value; "" if it is not known.
    """

    counts: int
    base: int
    state: str
    client: str = ""


class TrialWatch:
    """Whether the value in force may return: a change is on trial, of whomever, or was just now.

    Then nothing is judged: the record may have the value on trial, and after its end the value of
    before. `clock`: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = clock()

    def update(self, on_trial: bool) -> bool:
        """Take a record over; return whether its values in force may return."""
        now = self._clock()
        if on_trial:
            self._until = now + _SETTLE_S
        return now < self._until


class Decisions:
    """The decisions by key of the set-point; in a file if there is one. A bad file has none.

    `keys`: the set-points that the protocol writes. `clock`: monotonic seconds.
    """

    def __init__(
        self,
        path: Path | None,
        keys: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._clock = path, clock
        self._by_key: dict[str, Decision] = {}
        self._claims: dict[str, dict[str, tuple[int, str]]] = {}
        """The last value of each client, and ROLLED_BACK, REPLACED or "", by set-point."""
        if not load_state(path, lambda data: self._load(data, keys), False):
            self._by_key, self._claims = {}, {}
        unsettled = [
            key for key, found in self._by_key.items() if found.state in (ON_TRIAL, ROLLED_BACK)
        ]
        self._settled_at = dict.fromkeys(unsettled, clock() + _SETTLE_S)

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

    def clients(self, key: str) -> set[str]:
        """Return all clients whose last value is that of the decision, and the last writer."""
        found = self._by_key.get(key)
        if found is None:
            return {""}
        claims = self._claims.get(key, {}).items()
        return {found.client, *(name for name, claim in claims if claim == (found.counts, ""))}

    def state(self, key: str) -> str:
        """Return what has become of the decision; "": there is none."""
        found = self._by_key.get(key)
        return found.state if found else ""

    def judge(
        self, key: str, counts: int, client: str, active: int | None, *, on_trial: bool
    ) -> str:
        """Return what a write of `counts` is: SEND, or why nothing is sent.

        `active`: the configured counts of the newest record; None: not known. `on_trial`: the unit
        tries a change, of whomever, so `active` may return. A client that repeats a value on trial
        is noted: its outcome counts for this client, too.
        """
        state = self.state(key)
        is_active = active == counts and not on_trial and state != ON_TRIAL
        if self.counts(key) != counts:
            state = ""
        if state == REPLACED:
            return REPLACED
        value, fact = self._claims.get(key, {}).get(client, (None, ""))
        if value == counts and fact and not (is_active and self._is_settled(key)):
            return fact
        if state == ON_TRIAL:
            self._claim(key, counts, client)
            return ON_TRIAL
        return KEPT if state == KEPT or is_active else SEND

    def decide(
        self, key: str, counts: int, base: int, client: str = "", *, sent: bool = True
    ) -> None:
        """Take a decision of `client` over; the one before ends, and those of other clients.

        `base`: the counts in force before it, or `counts` if the unit has kept it. `sent`: its
        outcome is not known yet. A repetition of the value in force is no decision against a value
        that the unit has refused for now: that one can be sent again.
        """
        is_repeated = self._claims.get(key, {}).get(client, (None, ""))[0] == counts
        found = self._by_key.get(key)
        if found is not None and (found.counts, found.base, found.state) == (counts, base, KEPT):
            self._claim(key, counts, client)  # a repetition: who repeats it last is no new fact
            return
        if counts == base and is_repeated and self.state(key) == REFUSED:
            self._claim(key, counts, client)
            return
        state = KEPT if counts == base else ON_TRIAL if sent else REFUSED
        self._replace_claims(key, counts)
        self._claim(key, counts, client)
        self._set(key, Decision(counts, base, state, client))

    def settle(self, key: str, outcome: str) -> None:
        """Take the outcome of a decision that was sent: KEPT, ROLLED_BACK or REFUSED."""
        self.wait(key)
        found = self._by_key.get(key)
        if found is None:
            return
        if outcome == ROLLED_BACK:
            self._mark_claims(key, lambda counts: counts == found.counts, ROLLED_BACK)
        base = found.counts if outcome == KEPT else found.base
        self._set(key, replace(found, base=base, state=outcome))

    def wait(self, key: str) -> None:
        """Note that a change has ended just now: the record may still have the value before."""
        self._settled_at[key] = self._clock() + _SETTLE_S

    def end(self, key: str) -> None:
        """End a decision: the value has returned. What was rolled back stays a fact."""
        claims = self._claims.get(key, {})
        self._claims[key] = {name: it for name, it in claims.items() if it[1] == ROLLED_BACK}
        self._set(key, None)

    def compare(self, key: str, active: int) -> str:
        """Compare a decision with the configured counts; return what it became just now, or "".

        KEPT, ROLLED_BACK or REPLACED. Do not call it while a change is on its way or on trial. A
        decision of before a restart that is not in force was rolled back.
        """
        found = self._by_key.get(key)
        if found is None:
            return ""
        if active == found.counts:
            if found.state == ROLLED_BACK and not self._is_settled(key):
                return ""
            self._settled_at[key] = self._clock()
            for client, (counts, _) in list(self._claims.get(key, {}).items()):
                if counts == active:
                    self._claims[key][client] = (counts, "")
            self._set(key, Decision(found.counts, active, KEPT, found.client))
            return "" if found.state == KEPT else KEPT
        if not self._is_settled(key):
            return ""
        if found.state == ON_TRIAL:
            self.settle(key, ROLLED_BACK)
            return ROLLED_BACK
        if found.state == REPLACED or active != found.base:
            self._replace_claims(key, active)
            self._set(key, replace(found, state=REPLACED))
            return "" if found.state == REPLACED else REPLACED
        return ""

    def _is_settled(self, key: str) -> bool:
        now = self._clock()
        return now >= self._settled_at.get(key, now)

    def _claim(self, key: str, counts: int, client: str) -> None:
        """Take the value of a client over; the one of the oldest of too many clients is lost."""
        claims = self._claims.setdefault(key, {})
        if claims.get(client) == (counts, ""):
            return
        claims.pop(client, None)
        claims[client] = (counts, "")
        if len(claims) > _MOST_CLIENTS:
            del claims[next(iter(claims))]
        self._store()

    def _replace_claims(self, key: str, counts: int) -> None:
        """Another value is decided: those of the other clients are replaced."""
        self._mark_claims(key, lambda value: value != counts, REPLACED)

    def _mark_claims(self, key: str, applies: Callable[[int], bool], fact: str) -> None:
        claims = self._claims.get(key, {})
        found = [name for name, it in claims.items() if not it[1] and applies(it[0])]
        claims |= {name: (claims[name][0], fact) for name in found}
        if found:
            self._store()

    def _set(self, key: str, decision: Decision | None) -> None:
        """Change one decision and the file."""
        if self._by_key.get(key) == decision:
            return
        self._by_key.pop(key, None)
        if decision is not None:
            self._by_key[key] = decision
        self._store()

    def _load(self, data: dict[str, Any], keys: Collection[str]) -> bool:
        """Take the file over, return True; one of an older program has less. Raises `DAMAGED`."""
        claims = data.get(_CLAIMS, {})
        for key in [key for key in data if key in keys]:
            counts, base, replaced, *rest = data[key]
            state = REPLACED if replaced else KEPT if counts == base else REFUSED
            client = str(rest[0]) if rest else ""
            state = str(rest[1]) if len(rest) > 1 else state
            if state not in _STATES:
                raise ValueError(state)
            self._by_key[key] = Decision(int(counts), int(base), state, client)
        for key in [key for key in claims if key in keys]:
            self._claims[key] = {
                str(client): (int(counts), str(fact)) for client, counts, fact in claims[key]
            }
            if not {fact for _, fact in self._claims[key].values()} <= {"", *HELD}:
                raise ValueError(key)
        return True

    def _store(self) -> None:
        """Write the file; a full disk costs the memory over a restart only."""
        if self._path is None:
            return
        data: dict[str, Any] = {
            key: [d.counts, d.base, d.state == REPLACED, d.client, d.state]
            for key, d in self._by_key.items()
        }
        data[_CLAIMS] = {
            key: [[client, *it] for client, it in claims.items()]
            for key, claims in self._claims.items()
        }
        with contextlib.suppress(OSError):
            replace_private(self._path, json.dumps(data))
