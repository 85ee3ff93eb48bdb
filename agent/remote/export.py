# SPDX-License-Identifier: Apache-2.0
"""Export of records from the store: the audit log, or a capture.

Does not change records. A signed command starts it; the module is loaded then. The records are read
one after the other, each when the previous one has been published. They are published on
`cfg/record/KEY`; a missing record is published empty.
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
"""Kinds of records that can be requested, and their keys."""


def record_keys(kind: str) -> "tuple[str, ...]":
    """Return the keys of a kind of record, none for an unknown kind."""
    for name, keys in RECORD_KINDS:
        if name == kind:
            return keys
    return ()


class RecordExport:
    """Publishes the records of `keys`; then `done` is True."""

    def __init__(self, manager: "RemoteHost", keys: "tuple[str, ...]") -> None:
        self._manager = manager
        self._keys = list(keys)
        self._requested_key = ""
        self._published_key = ""
        self.done = False

    def tick(self, now: int) -> None:
        """Request the next record when the last one has been published."""
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
        """Publish a record from the store."""
        key, _, payload = data.partition(b"\0")
        uplink = self._manager.agent.uplink
        if key == self._requested_key.encode() and uplink is not None:
            uplink.publish_latest(TOPIC + self._requested_key, payload)
            self._published_key = self._requested_key
        self._requested_key = ""
