# SPDX-License-Identifier: Apache-2.0
"""Suspended keys: numbers of operators' keys that the unit does not accept, until they are resumed.

Does not change the configuration: a suspension acts immediately, without a trial and although
another change is on trial. Afterwards a change of `remote.keys` replaces the key.

    config.suspended   [number, ...] with a hash; a damaged record counts as empty
"""

from agent.remote.storage.config_slots import decode_hashed, with_hash
from protocols import cbor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.remote.storage.config_slots import Read, Write

SUSPENDED_KEY = "config.suspended"


class SuspendedKeys:
    """The numbers."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def load(self, read: "Read") -> None:
        """Read the record."""
        parts = decode_hashed(read(SUSPENDED_KEY))
        self.numbers = [part for part in parts if type(part) is int] if type(parts) is list else []

    def accepted(self, keys: "list[dict[str, Any]]") -> "list[dict[str, Any]]":
        """Return the keys of the configuration that are not suspended."""
        return [key for key in keys if key["number"] not in self.numbers]

    def set(self, number: int, is_suspended: bool) -> "Write":
        """Suspend or resume a key; return the write of the record."""
        self.numbers = [other for other in self.numbers if other != number]
        if is_suspended:
            self.numbers.append(number)
        return SUSPENDED_KEY, with_hash(cbor.encode(self.numbers))
