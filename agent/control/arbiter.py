# SPDX-License-Identifier: Apache-2.0
"""The arbiter of one actuator: of the claims of a cycle, the highest rank wins.

Does not move the actuator; the control loop reads the winner. A claim is valid for one cycle. If
its owner does not renew it, the claim ends and the loop takes over.
"""

from agent.core.actuator import PUMPS, VALVE, Claim


def make_arbiters() -> "dict[str, Arbiter]":
    """Make the arbiter of each actuator."""
    return {VALVE: Arbiter(), PUMPS: Arbiter()}


class Arbiter:
    """The claims on one actuator, from `begin_cycle` to the next `begin_cycle`."""

    def __init__(self) -> None:
        self._claims: list[Claim] = []

    def begin_cycle(self) -> None:
        """End all claims of the cycle before."""
        if self._claims:
            self._claims = []

    def claim(self, rank: int, owner: str, output: "float | None") -> None:
        """Ask for `output`, percent, in this cycle; None: no opinion, lower ranks decide."""
        if output is not None:
            self._claims.append(Claim(rank, owner, output))

    def winner(self) -> "Claim | None":
        """Give the claim of the highest rank; None: the loop decides."""
        best = None
        for claim in self._claims:
            if best is None or claim.rank > best.rank:
                best = claim
        return best
