# SPDX-License-Identifier: Apache-2.0
"""Arbiter of one actuator: the claim with the highest rank wins.

Does not move the actuator; the control loop reads the winner. A claim is valid for one cycle. If
its owner does not renew it, the claim ends and the loop controls the actuator.
"""

from agent.core.actuator import PUMPS, VALVE, Claim


def make_arbiters() -> "dict[str, Arbiter]":
    """Return the arbiters by actuator."""
    return {VALVE: Arbiter(), PUMPS: Arbiter()}


class Arbiter:
    """The claims on one actuator, from one `begin_cycle` to the next."""

    def __init__(self) -> None:
        self._claims: list[Claim] = []

    def begin_cycle(self) -> None:
        """End all claims of the last cycle."""
        if self._claims:
            self._claims = []

    def claim(self, rank: int, owner: str, output: "float | None") -> None:
        """Claim `output` for this cycle, percent. None: no claim, so a lower rank decides."""
        if output is not None:
            self._claims.append(Claim(rank, owner, output))

    def winner(self) -> "Claim | None":
        """Return the claim with the highest rank; None: the loop decides."""
        best = None
        for claim in self._claims:
            if best is None or claim.rank > best.rank:
                best = claim
        return best
