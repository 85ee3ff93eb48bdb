# SPDX-License-Identifier: Apache-2.0
"""Faults of the row's hydraulics: a shut isolating valve, racks with a kinked hose.

Does not solve the network; see `hil.plant.fluid.hydraulics`. The racks are parallel branches. The
flow of a branch is proportional to its conductance at the same pressure. The resistance of the row
is the inverse square of the total conductance. So one blocked rack gets less flow, and the
others more.
"""

from __future__ import annotations

_KINKED = 0.1
"""Remaining conductance of a branch with a kinked hose (assumed)."""
_SHUT = 1e-3
"""Remaining conductance of the row behind a shut isolating valve: it is not quite tight."""


class RowValves:
    """What is shut in the row; all is open at the start."""

    __slots__ = ("_blocked", "isolated")

    def __init__(self) -> None:
        self.isolated = False
        self._blocked: frozenset[int] = frozenset()

    def set_isolated(self, is_isolated: bool) -> None:
        """Shut the isolating valve, or open it."""
        self.isolated = is_isolated

    def set_blocked(self, rack: int, is_blocked: bool) -> None:
        """Kink the hose of a rack (from 0), or straighten it."""
        self._blocked = self._blocked | {rack} if is_blocked else self._blocked - {rack}

    def _conductances(self, fractions: tuple[float, ...]) -> list[float]:
        return [f * _KINKED if i in self._blocked else f for i, f in enumerate(fractions)]

    def flow_shares(self, fractions: tuple[float, ...]) -> tuple[float, ...]:
        """Return the part of the flow in each rack; `fractions` are those of the design."""
        if not self._blocked:
            return fractions
        conductances = self._conductances(fractions)
        total = sum(conductances)
        return tuple(conductance / total for conductance in conductances)

    def resistance_factor(self, fractions: tuple[float, ...]) -> float:
        """Return the resistance of the row as a multiple of the design's."""
        factor = 1.0
        if self._blocked:
            factor = 1.0 / sum(self._conductances(fractions)) ** 2
        return factor / _SHUT**2 if self.isolated else factor
