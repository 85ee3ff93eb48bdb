# SPDX-License-Identifier: Apache-2.0
"""The ports of a controller of a pair apart from the bus: its store, and the link to its peer.

Does not decide; see `paired_agent`. Both are optional. Without a store the epoch is not durable,
and there is no link. They are open in all roles, as is the store of section `remote`, which the
agent uses, too.
"""

from agent.core.port_link import PortLink
from agent.redundancy.beacon import PEER
from agent.redundancy.pair_table import NO_COMMAND, NO_WORD
from agent.redundancy.stored_epoch import StoredEpoch
from protocols.signing.peer_link import LOST_US, MAX_AGE_US, PERIOD_US, PeerLink
from protocols.time_units import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.component.base import Actions
    from agent.redundancy.config_mirror import ConfigMirror


class PeerPorts:
    """Store and link of controller `node`. `store` and `link`: (port number, address) or None.

    `epoch` holds what is stored, `peer` the exchange with the other controller.
    """

    def __init__(
        self,
        node: str,
        key: bytes,
        store: "tuple[int, str] | None",
        link: "tuple[int, str] | None",
    ) -> None:
        self.epoch = StoredEpoch(-1 if store is None else store[0], key)
        self.peer = PeerLink(node, PEER[node], key, PERIOD_US, LOST_US, MAX_AGE_US)
        self.mirror: ConfigMirror | None = None
        self._links: list[PortLink] = []
        self._store_port = self._link_port = -1
        if store is not None:
            self._store_port = store[0]
            self._links.append(PortLink(store[0], "redundancy", store[1]))
        if link is not None:
            self._link_port = link[0]
            self._links.append(PortLink(link[0], "redundancy.link", link[1]))
        self._out: Actions = []

    def set_mirror(self, mirror: "ConfigMirror") -> None:
        """Use a second channel of the link for the records of remote changes."""
        self.mirror = mirror
        self.peer.other = mirror.channel

    @property
    def has_store(self) -> bool:
        """Whether a store is configured."""
        return self._store_port >= 0

    @property
    def has_link(self) -> bool:
        """Whether a link is configured."""
        return self._link_port >= 0

    def owns(self, port: int) -> bool:
        """Return whether `port` is one of these."""
        return self.is_shared(port) or (port >= 0 and port in (self._store_port, self._link_port))

    def is_shared(self, port: int) -> bool:
        """Return whether `port` is the store that the agent uses, too."""
        return self._mirror_of(port) is not None

    def _mirror_of(self, port: int) -> "ConfigMirror | None":
        mirror = self.mirror
        return mirror if mirror is not None and port == mirror.port else None

    def forward(self, port: int, operation: str, data: bytes) -> bool:
        """Take a request of the agent; return whether `port` is one of these."""
        mirror = self._mirror_of(port)
        if mirror is not None:
            mirror.forward(operation, data)
            return True
        return self.owns(port)

    def open_ports(self) -> "list[int]":
        """Return the ports that are open."""
        links = self._links + ([] if self.mirror is None else [self.mirror.link])
        return [link.port for link in links if link.is_open]

    def is_fit(self) -> bool:
        """Return whether the next epoch can be made durable, and no newer record is missing."""
        is_fit = not self.has_store or self.epoch.works
        return is_fit and (self.mirror is None or self.mirror.is_fit())

    def start(self, now: int) -> None:
        """Open the ports."""
        for link in self._links:
            link.connect(now)
        if self.mirror is not None:
            self.mirror.start(now)

    def receive_shared(self, port: int, data: bytes) -> bool:
        """Take an answer of the store of section `remote`; False: it is for the agent."""
        mirror = self._mirror_of(port)
        return mirror is not None and mirror.receive(data)

    def receive(self, port: int, data: bytes, epoch: int, now: int) -> int:
        """Handle bytes of a port; `epoch` is the present one. Return one stored or of the peer."""
        if port == self._link_port:
            self.peer.receive(data, now)
            return self.peer.peer_epoch
        boots = self.epoch.boots
        self.epoch.receive(data, epoch)
        if boots < 0 <= self.epoch.boots:
            self.peer.start(self.epoch.boots, now)
            if self.mirror is not None:
                self.mirror.channel.start(self.epoch.boots, now)
            return self.epoch.epoch
        return 0

    def event(self, port: int, kind: str, now: int) -> bool:
        """Handle an event of a port; return whether the agent needs it, too."""
        mirror = self._mirror_of(port)
        if mirror is not None:
            return mirror.event(kind, now)
        for link in self._links:
            if link.port == port:
                link.event(kind, now)
        if port == self._store_port:
            self.epoch.event(kind)
        return True

    def wake(self, now: int) -> None:
        """Retry to open the ports that are due."""
        for link in self._links:
            link.wake(now)
        if self.mirror is not None:
            self.mirror.link.wake(now)

    def send(self, word: int, epoch: int, is_fit: bool, now: int) -> None:
        """Send the message that is due, with the own word, epoch and fitness."""
        self.epoch.poll(now)
        if self.has_link and now >= self.peer.deadline():
            line = self.peer.next_line(word, epoch, is_fit, now)
            self._out.append((self._link_port, "write", line))
        line = b"" if self.mirror is None else self.mirror.next_line(now)
        if line:
            self._out.append((self._link_port, "write", line))

    def deadline(self) -> int:
        """Return the time of the next retry of a port. Messages come with the steps of roles."""
        due = NEVER if self.mirror is None else self.mirror.link.wake_at
        for link in self._links:
            due = min(due, link.wake_at)
        return due

    def link_fields(self, now: int) -> "list[tuple[str, Any]]":
        """Return the fields of the status about the link; none without a link."""
        if not self.has_link:
            return []
        peer, is_up = self.peer, self.peer.is_up(now)
        mirror = self.mirror
        fields = [] if mirror is None else [("config_in_sync", mirror.is_in_sync(now))]
        return fields + [
            ("link", is_up),
            # The last report of a peer that is no longer received is not what it is now.
            ("peer_fit", peer.peer_fit if is_up else None),
            ("in_sync", peer.is_in_sync() if is_up else None),
            ("link_rejected", peer.rejected),
        ]

    def take_word(self) -> int:
        """Return the word of the peer since the last call."""
        return self.peer.take_word() if self.has_link else NO_WORD

    def take_command(self) -> int:
        """Return the command of a person since the last call."""
        return self.epoch.take_command() if self.has_store else NO_COMMAND

    def outbox(self) -> "Actions":
        """Return the requests for the ports."""
        out = []
        for link in self._links:
            out.extend(link.outbox())
        out.extend(self.epoch.outbox())
        if self.mirror is not None:
            out.extend(self.mirror.outbox())
        out.extend(self._out)
        self._out = []
        return out
