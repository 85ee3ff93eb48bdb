"""Records of the store for operators who have asked for them: the log, or a capture of raw bytes.

One after another: a record is read when the one before it has left. Published on
`cfg/record/KEY`, empty for one that is not there. Loaded by the first command that needs it.
"""

from agent.remote import capture
from agent.remote.storage import audit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.remote.storage.write_queue import RemoteHost

TOPIC = "cfg/record/"

RECORD_KINDS = (
    ("audit", tuple([audit.key_of(i) for i in range(audit.SEGMENTS)])),
    ("capture", tuple([capture.segment_key(i) for i in range(capture.SEGMENTS)])),
)
"""What can be asked for, and the keys of its records."""


def record_keys(kind: str) -> "tuple[str, ...]":
    """Give the keys of a sort of record; none for a sort that does not exist."""
    for name, keys in RECORD_KINDS:
        if name == kind:
            return keys
    return ()


class RecordExport:
    """The records of `keys` on their way from the store to the broker; then `done`."""

    def __init__(self, manager: "RemoteHost", keys: "tuple[str, ...]") -> None:
        self._manager = manager
        self._keys = list(keys)
        self._requested_key = ""
        self._published_key = ""
        self.done = False

    def tick(self, now: int) -> None:
        """Ask for the next record when the last one has left."""
        uplink = self._manager.agent.uplink
        is_pending = (
            uplink is not None
            and bool(self._published_key)
            and uplink.is_pending(TOPIC + self._published_key)
        )
        if self._requested_key or is_pending or self._manager.write_queue.is_busy():
            return
        if not self._keys:
            self.done = True
            return
        self._requested_key = self._keys.pop(0)
        self._manager.write_queue.request("get", self._requested_key.encode(), now)

    def on_record(self, data: bytes) -> None:
        """Publish a record that came from the store."""
        key, _, payload = data.partition(b"\0")
        uplink = self._manager.agent.uplink
        if key == self._requested_key.encode() and uplink is not None:
            uplink.publish_latest(TOPIC + self._requested_key, payload)
            self._published_key = self._requested_key
        self._requested_key = ""
