# SPDX-License-Identifier: Apache-2.0
"""One record in the store of a component: read once when the store opens, replaced as a whole.

For a component that keeps a small state over a restart. A store that fails loses its requests. So
the last write is repeated when it opens again, unless it is durable, and so is the read without an
answer. Does not guarantee that data is durable before an action; see
`agent.remote.storage.write_queue`. Does not store growing data; see `agent.log`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.component.base import Actions


class StoredRecord:
    """The record `key` in the store with the number `port`; -1: no store.

    `is_settled`: the store has answered, or there is no answer to wait for.
    """

    def __init__(self, port: int, key: str) -> None:
        self.port = port
        self.key = key
        self.is_open = False
        self.is_settled = port < 0
        self._requested = False
        self._unsaved: bytes | None = None
        self._out: Actions = []

    def event(self, kind: str) -> None:
        """Handle an event of the store. `opened` requests the record until there is an answer."""
        self.is_open = kind == "opened" or (self.is_open and kind == "drained")
        if kind == "drained" and not self._out:
            self._unsaved = None
        if kind != "opened":
            return
        if not self._requested or not self.is_settled:
            self._requested = True
            self._out.append((self.port, "get", self.key.encode()))
        if self._unsaved is not None:
            self.write(self._unsaved)

    def receive(self, data: bytes) -> "bytes | None":
        """Handle an answer of the store. Return the record; None: absent or another record."""
        key, nul, payload = bytes(data).partition(b"\0")
        if key != self.key.encode():
            return None
        self.is_settled = True
        return payload if nul else None

    def stop_waiting(self) -> None:
        """Continue without the stored record, because the store does not answer."""
        self.is_settled = True

    def write(self, payload: bytes) -> None:
        """Request to replace the record, instead of a write that was not handed over."""
        self._unsaved = payload
        self._out = [request for request in self._out if request[1] != "write"]
        self._out.append((self.port, "write", self.key.encode() + b"\0" + payload))

    def delete(self) -> None:
        """Request to delete the record."""
        self._unsaved = None
        self._out.append((self.port, "delete", self.key.encode()))

    def outbox(self) -> "Actions":
        """Return the requests for the store."""
        if not self._out:
            return []
        out, self._out = self._out, []
        return out
