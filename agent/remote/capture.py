# SPDX-License-Identifier: Apache-2.0
"""Capture of the raw bytes of one port, both directions, for a replay at the bench.

Does not decode the bytes. A signed command starts it; the module is loaded then.

`<` is to the agent, `>` from it. The agent calls the capture for each input and output
(`agent.core.context.PortListener`). The capture is limited in time and bytes. If the store is too
slow, bytes are dropped and counted.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.component.base import Actions
    from agent.remote.storage.write_queue import RemoteContext, WriteQueue

SEGMENTS = 8
SEGMENT_BYTES = 4096
_CHUNK_BYTES = 256
_MAX_UNWRITTEN = 2048


def segment_key(segment: int) -> str:
    """Return the key of a segment in the store."""
    return "capture.%d" % segment


class PortCapture:
    """Captures from its creation until `done`; `stop` ends it early."""

    def __init__(
        self, agent: "RemoteContext", write_queue: "WriteQueue", port: int, until: int, now: int
    ) -> None:
        self.done = False
        self.bytes = 0
        self.dropped = 0
        self._agent = agent
        self._write_queue = write_queue
        self._port = port
        self._until = until
        self._now = now
        self._lines: list[bytes] = []
        self._unwritten = 0
        self._segment = 0
        self._used_bytes = 0
        for i in range(SEGMENTS):
            write_queue.request("delete", segment_key(i).encode(), now)
        agent.add_port_listener(self)

    def on_receive(self, port: int, data: bytes, now: int) -> None:
        """Handle received bytes of a port."""
        if port == self._port:
            self._record("<", data, now)
        self._now = now

    def on_outbox(self, actions: "Actions") -> None:
        """Handle the requests for the ports."""
        for port, op, data in actions:
            if port == self._port and op == "write":
                self._record(">", data, self._now)

    def _record(self, direction: str, data: bytes, now: int) -> None:
        for offset in range(0, len(data), _CHUNK_BYTES):
            line = (
                "%d %s %s\n" % (now, direction, data[offset : offset + _CHUNK_BYTES].hex())
            ).encode()
            if self._unwritten + len(line) > _MAX_UNWRITTEN:
                self.dropped += 1
                return
            self._lines.append(line)
            self._unwritten += len(line)

    def tick(self, now: int) -> None:
        """Write the captured bytes. End when the time or the space is used up."""
        self._now = now
        finished = now >= self._until or self._segment >= SEGMENTS
        if self._lines and self._segment < SEGMENTS and not self._write_queue.is_busy():
            self._write(now)
        if finished:
            self.stop()

    def _write(self, now: int) -> None:
        data, self._lines, self._unwritten = b"".join(self._lines), [], 0
        self.bytes += len(data)
        self._write_queue.request("append", segment_key(self._segment).encode() + b"\0" + data, now)
        self._used_bytes += len(data)
        if self._used_bytes > SEGMENT_BYTES - _MAX_UNWRITTEN:
            self._segment += 1
            self._used_bytes = 0

    def stop(self) -> None:
        """End the capture."""
        if not self.done:
            self.done = True
            self._agent.remove_port_listener(self)
