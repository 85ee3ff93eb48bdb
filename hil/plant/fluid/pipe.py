# SPDX-License-Identifier: Apache-2.0
"""Plug flow in a pipe: the delay depends on volume, not on time.

It is a first-in first-out queue of parcels (volume, temperature). Parcels do not mix and lose no
heat to the room. The outlet temperature is the exact volume average, so that energy balances to
rounding.
"""

from __future__ import annotations

from collections import deque

_TINY_L = 1e-9


class Pipe:
    """A full pipe of `volume_l` litres that starts at one temperature, degC."""

    __slots__ = (
        "_drawn_c",
        "_drawn_l",
        "_head_c",
        "_head_l",
        "_min_parcel_l",
        "_parcels",
        "_tail_c",
        "_tail_l",
        "volume_l",
    )

    def __init__(self, volume_l: float, start_c: float, min_parcel_l: float) -> None:
        """`min_parcel_l` limits the number of parcels: smaller ones are merged up to this size."""
        if volume_l <= 0.0 or min_parcel_l <= 0.0:
            raise ValueError("volume_l and min_parcel_l must be above 0 L")
        self.volume_l = volume_l
        self._min_parcel_l = min_parcel_l
        self._parcels: deque[tuple[float, float]] = deque()
        self._head_l, self._head_c = volume_l, start_c  # the next parcel to leave
        self._tail_l, self._tail_c = 0.0, start_c  # the last parcel to enter, still growing
        self._drawn_l, self._drawn_c = 0.0, start_c  # the last complete parcel to leave

    def draw(self, litres: float) -> float:
        """Take `litres` (at most the pipe's volume) from the outlet; return their mean, degC.

        A `fill` of the same volume must follow. Without flow: the temperature at the outlet.
        """
        remaining_l = self._head_l - litres
        if remaining_l > _TINY_L:
            self._head_l = remaining_l
            return self._head_c
        if litres <= 0.0:
            return self._head_c
        drawn_l, heat = 0.0, 0.0
        while self._head_l <= litres - drawn_l + _TINY_L and self._advance_parcel():
            drawn_l += self._drawn_l
            heat += self._drawn_l * self._drawn_c
        part = litres - drawn_l
        self._head_l -= part
        return (heat + part * self._head_c) / litres

    def _advance_parcel(self) -> bool:
        """Move the next parcel to the outlet; return false if there is none."""
        drawn_l, drawn_c = self._head_l, self._head_c
        if self._parcels:
            self._head_l, self._head_c = self._parcels.popleft()
        elif self._tail_l > 0.0:
            self._head_l, self._head_c = self._tail_l, self._tail_c
            self._tail_l = 0.0
        else:
            return False
        self._drawn_l, self._drawn_c = drawn_l, drawn_c
        return True

    def fill(self, litres: float, celsius: float) -> None:
        """Push in `litres` at `celsius`, after `draw` of the same volume."""
        if litres <= 0.0:
            return
        tail = self._tail_l + litres
        self._tail_c += (celsius - self._tail_c) * litres / tail
        if tail >= self._min_parcel_l:
            self._parcels.append((tail, self._tail_c))
            tail = 0.0
        self._tail_l = tail

    @property
    def outlet_c(self) -> float:
        """Return the temperature of the next parcel to leave, degC."""
        return self._head_c

    @property
    def parcels(self) -> int:
        """Return the number of parcels."""
        return len(self._parcels) + 2

    def litre_degrees(self) -> float:
        """Return the sum of volume times temperature, L degC: the energy divided by rho cp."""
        total = self._head_l * self._head_c + self._tail_l * self._tail_c
        for litres, celsius in self._parcels:
            total += litres * celsius
        return total

    def stored_l(self) -> float:
        """Return the sum of the parcels' volumes, L: equal to `volume_l` if no parcel was lost."""
        return self._head_l + self._tail_l + sum(litres for litres, _ in self._parcels)
