# SPDX-License-Identifier: Apache-2.0
"""The network between the units of a group, in virtual time: datagrams with a delay.

Does not emulate Ethernet. Each direction between two units can be cut. A part of the datagrams can
be lost at random.
"""

from __future__ import annotations

import random

from hil.shells.several import MessageEnd
from hil.shells.virtual import VirtualShell

_DELAY_US = 500


def pairs_between(some: set[int], units: set[int]) -> set[tuple[int, int]]:
    """Return both directions between `some` and the others of `units`."""
    others = units - some
    return {(a, b) for a in some for b in others} | {(b, a) for a in some for b in others}


class GroupLan:
    """`cut`: pairs (from, to) whose datagrams are lost. `loss`: share of lost datagrams."""

    def __init__(self, rng: random.Random) -> None:
        self.cut: set[tuple[int, int]] = set()
        self.loss = 0.0
        self.datagrams = 0
        self._rng = rng
        self._blocked: dict[str, set[tuple[int, int]]] = {}
        self._ends: dict[tuple[int, int], MessageEnd] = {}

    def add_end(self, own: int, peer: int, shell: VirtualShell, port: int) -> MessageEnd:
        """Return the end at unit `own` of the datagrams to and from unit `peer`."""
        end = MessageEnd(shell, port, lambda data: self.send(own, peer, data))
        self._ends[own, peer] = end
        return end

    def separate(self, some: set[int], units: set[int]) -> None:
        """Cut all datagrams between `some` and the others of `units`."""
        self.cut |= pairs_between(some, units)

    def block(self, name: str, pairs: set[tuple[int, int]]) -> None:
        """Lose the datagrams of `pairs` (from, to) until `unblock` with this name."""
        self._blocked[name] = pairs

    def unblock(self, name: str) -> None:
        """End `block` with this name."""
        self._blocked.pop(name, None)

    def set_loss(self, share: float) -> None:
        """Lose this share of all datagrams at random."""
        self.loss = share

    def _is_lost(self, pair: tuple[int, int]) -> bool:
        if pair in self.cut or any(pair in pairs for pairs in self._blocked.values()):
            return True
        return bool(self.loss) and self._rng.random() < self.loss

    def send(self, own: int, peer: int, data: bytes) -> None:
        """Carry a datagram; one to the own address is dropped."""
        if own == peer:
            return
        self.datagrams += 1
        if self._is_lost((own, peer)):
            return
        end = self._ends.get((peer, own))
        if end is not None:
            world = end.shell.world
            world.schedule(world.now + _DELAY_US, end.deliver, data)
