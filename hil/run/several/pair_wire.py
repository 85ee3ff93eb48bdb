# SPDX-License-Identifier: Apache-2.0
"""The link between two controllers of a pair in virtual time: whole messages, with a delay.

Does not emulate a network. Each direction can be cut.
"""

from __future__ import annotations

from hil.shells.several import MessageEnd
from hil.shells.virtual import VirtualShell

_DELAY_US = 1_000


class PairWire:
    """Both ends; `is_cut[n]`: messages of controller n are lost."""

    def __init__(self) -> None:
        self.is_cut = [False, False]
        self.ends: list[MessageEnd] = []

    def add_end(self, shell: VirtualShell, port: int) -> MessageEnd:
        """Return the end of the next controller."""
        node = len(self.ends)
        end = MessageEnd(shell, port, lambda data: self.send(node, data))
        self.ends.append(end)
        return end

    def cut(self, node: int, is_cut: bool) -> None:
        """Lose the messages of controller `node`, or carry them again."""
        self.is_cut[node] = is_cut

    def send(self, node: int, data: bytes) -> None:
        """Carry a message of controller `node` to the other one."""
        if not self.is_cut[node]:
            world = self.ends[node].shell.world
            world.schedule(world.now + _DELAY_US, self.ends[1 - node].deliver, data)
