# SPDX-License-Identifier: Apache-2.0
"""One record of a part's store: asked for once, when the store first opens; replaced as a whole.

Shared by parts that keep a little over a restart. Not for what must be durable before something is
done (`agent.remote.storage.write_queue`), nor for what grows (`agent.log`).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.component import Actions


class StoredRecord:
    """The record `key` behind the port numbered `port`; -1: there is no store.

    `loaded`: what was kept is known, or there is nothing to wait for.
    """

    def __init__(self, port: int, key: str) -> None:
        self.port = port
        self.key = key
        self.open = False
        self.loaded = port < 0
        self._requested = False
        self._out: Actions = []

    def event(self, kind: str) -> None:
        """Take what the store says."""
        self.open = kind == "opened" or (self.open and kind == "drained")
        if kind == "opened" and not self._requested:
            self._requested = True
            self._out.append((self.port, "get", self.key.encode()))

    def receive(self, data: bytes) -> "bytes | None":
        """Take an answer of the store: what was kept; None for nothing, and for other records."""
        key, nul, payload = bytes(data).partition(b"\0")
        if key != self.key.encode():
            return None
        self.loaded = True
        return payload if nul else None

    def stop_waiting(self) -> None:
        """Go on without the stored record, because the store does not answer."""
        self.loaded = True

    def write(self, payload: bytes) -> None:
        """Have it replaced."""
        self._out.append((self.port, "write", self.key.encode() + b"\0" + payload))

    def delete(self) -> None:
        """Have it deleted."""
        self._out.append((self.port, "delete", self.key.encode()))

    def outbox(self) -> "Actions":
        """Hand over what the store is asked to do."""
        if not self._out:
            return []
        out, self._out = self._out, []
        return out
