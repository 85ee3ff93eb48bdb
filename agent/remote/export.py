"""Records of the store for operators who have asked for them: the log, or a capture of raw bytes.

One after another: a record is read when the one before it has left. Published on
`cfg/record/KEY`, empty for one that is not there. Loaded by the first command that needs it.
"""

from agent.remote import capture
from agent.remote.storage import audit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.remote.manager import Desk

TOPIC = "cfg/record/"

SORTS = (
    ("audit", tuple([audit.key_of(i) for i in range(audit.SEGMENTS)])),
    ("capture", tuple([capture.key_of(i) for i in range(capture.SEGMENTS)])),
)
"""What can be asked for, and the keys of its records."""


def keys_of(sort: str) -> "tuple[str, ...]":
    """Give the keys of a sort of record; none for a sort that does not exist."""
    for name, keys in SORTS:
        if name == sort:
            return keys
    return ()


class Export:
    """The records of `keys` on their way from the store to the broker; then `done`."""

    def __init__(self, desk: "Desk", keys: "tuple[str, ...]") -> None:
        self._desk = desk
        self._keys = list(keys)
        self._asked = ""
        self._said = ""
        self.done = False

    def tick(self, now: int) -> None:
        """Ask for the next record when the last one has left."""
        uplink = self._desk.agent.uplink
        waits = uplink is not None and bool(self._said) and uplink.unsaid(TOPIC + self._said)
        if self._asked or waits or self._desk.keeper.busy():
            return
        if not self._keys:
            self.done = True
            return
        self._asked = self._keys.pop(0)
        self._desk.keeper.ask("get", self._asked.encode(), now)

    def record(self, data: bytes) -> None:
        """Publish a record that came from the store."""
        key, _, payload = data.partition(b"\0")
        uplink = self._desk.agent.uplink
        if key == self._asked.encode() and uplink is not None:
            uplink.say(TOPIC + self._asked, payload)
            self._said = self._asked
        self._asked = ""
