# SPDX-License-Identifier: Apache-2.0
"""Arbiter of one actuator: one output per cycle from the claims and the loop.

Does not move the actuator; the control loop requests the output of `decide`. A claim is valid for
one cycle. If its owner does not renew it, the claim ends and the loop controls the actuator.

1. The exact claim with the highest rank wins; without one, the loop.
2. The bounds of an equal or a higher rank limit the output of the winner. If two bounds conflict,
   the higher rank applies.

At one rank the larger output applies: more cooling. So the order of the claims has no effect. A
lower bound on the pumps applies to all pumps; see `agent.control.pump_group`.

`follow` replaces the output of the loop for one cycle. The loop goes on from it, with its own
number of pumps. So a unit can take the speed of another one, and any claim still wins.

`locked`: names of the drives of this actuator in local mode. They get no writes in this cycle.
"""

from agent.core.actuator import (
    AT_LEAST,
    EXACT,
    FANS,
    INTERLOCK,
    KINDS,
    LOCKOUT,
    LOOP,
    PUMPS,
    VALVE,
    Claim,
    Decision,
)
from agent.core.json_writer import JsonObject
from protocols.rounding import round_half_away

_LOOP = "loop"


def make_arbiters() -> "dict[str, Arbiter]":
    """Return the arbiters by actuator."""
    return {VALVE: Arbiter(), PUMPS: Arbiter(), FANS: Arbiter()}


class Arbiter:
    """The claims on one actuator, from one `begin_cycle` to the next.

    `decision`: the last one; None before the first. `raised`: a lower bound applied in it.
    `override`: the claim of an interlock that replaced or raised the output of a lower rank in it.
    An upper bound does not count: the dew point limits the valve during a whole operating mode.
    `claims`: in the order of rank and kind.
    """

    def __init__(self) -> None:
        self.claims: list[Claim] = []
        self.locked: list[str] = []
        self.decision: Decision | None = None
        self.raised = False
        self.override: Claim | None = None
        self._applied: Claim | None = None
        self._followed: tuple[float, str, str] | None = None

    def begin_cycle(self) -> None:
        """End all claims of the last cycle."""
        if self.claims:
            self.claims = []
        if self.locked:
            self.locked = []
        self._followed = None

    def follow(self, output: float, owner: str, reason: str) -> None:
        """Let the loop take `output`, percent, in this cycle; `owner` of the group, and why."""
        self._followed = output, owner, reason

    def claim(self, rank: int, owner: str, kind: int, output: float, reason: str) -> None:
        """Claim `output`, percent, for this cycle. `LOCKOUT` has no output: no writes."""
        claim = Claim(rank, kind, output, owner, reason)
        i = len(self.claims)
        while i and self.claims[i - 1] > claim:
            i -= 1
        self.claims.insert(i, claim)

    def lock_out(self, drive: str) -> None:
        """Send no writes to `drive` in this cycle, because it is in local mode."""
        self.locked.append(drive)

    def winner(self) -> "Claim | None":
        """Return the exact claim with the highest rank; None: the loop decides."""
        best = None
        for claim in self.claims:
            if claim.kind == EXACT:
                best = claim
        return best

    def decide(self, loop_output: float) -> Decision:
        """Return the output of this cycle. `loop_output`: the output of the loop, percent."""
        winner = self._applied = self.winner()
        self.raised = False
        output: float | None = loop_output
        rank, owner, reason = LOOP, _LOOP, ""
        if self._followed is not None:
            output, owner, reason = self._followed
        if winner is not None:
            rank, owner, reason = winner.rank, winner.owner, winner.reason
            output = None if rank >= LOCKOUT else winner.output
        self.override = winner if rank == INTERLOCK else None
        for claim in self.claims:
            if output is None or claim.kind == EXACT or claim.rank < rank:
                continue
            is_floor = claim.kind == AT_LEAST
            if is_floor and output < claim.output and claim.rank == INTERLOCK:
                self.override = claim
            if output <= claim.output if is_floor else output > claim.output:
                self._applied = claim
                self.raised = self.raised or is_floor
                output, owner, reason = claim.output, claim.owner, claim.reason
        self.decision = Decision(output, owner, reason, winner is None)
        return self.decision

    def holder_rank(self) -> int:
        """Return the rank of the claim that defines the last decision."""
        return LOOP if self._applied is None else self._applied.rank

    def await_start(self) -> None:
        """Record that the loop keeps the actuator stopped until its start delay is over."""
        self.decision = Decision(0.0, _LOOP, "start delay", True)

    def status(self, actuator: str) -> JsonObject:
        """Return who holds the actuator and why, and the claims without effect."""
        output, owner, reason, _ = self.decision or Decision(None, "", "", True)
        fields: list[tuple[str, object]] = [
            ("name", actuator),
            ("output_milli_pct", None if output is None else round_half_away(output * 1000)),
            ("owner", owner),
            ("reason", reason),
            ("losers", [_loser(claim) for claim in self.claims if claim is not self._applied]),
            ("locked", list(self.locked)),
        ]
        return JsonObject(fields)


def _loser(claim: Claim) -> JsonObject:
    fields: list[tuple[str, object]] = [
        ("owner", claim.owner),
        ("kind", KINDS[claim.kind]),
        ("output_milli_pct", round_half_away(claim.output * 1000)),
        ("reason", claim.reason),
    ]
    return JsonObject(fields)
