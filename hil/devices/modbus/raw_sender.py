# SPDX-License-Identifier: Apache-2.0
"""A device on the line that sends the same bytes once, whatever they are."""

from __future__ import annotations

from hil.devices.base import NEVER, FaultTarget, Replies


class RawSender(FaultTarget):
    """Sends `data` at `due`, in microseconds."""

    def __init__(self, data: bytes, due: int) -> None:
        self._data = data
        self._due = due

    def receive(self, data: bytes, now: int) -> Replies:
        """Ignore the bytes of others."""
        return []

    def wake(self, now: int) -> Replies:
        """Send the bytes."""
        self._due = NEVER
        return [(0, self._data)]

    def deadline(self) -> int:
        """Return the time at which the bytes are sent."""
        return self._due
