# SPDX-License-Identifier: Apache-2.0
"""Primary host of Sparkplug: its state, as its STATE messages give it on one connection.

Does not connect or publish. SOURCE: Eclipse Sparkplug 3.0, 5.4 and 5.5.
"""

import json


class SparkplugHost:
    """State of the primary host. While the host is offline, data stay in the outbox."""

    def __init__(self, namespace: str, host: str) -> None:
        self.topic = f"{namespace}/STATE/{host}"
        self._has_host = bool(host)
        self.online = not host
        self._newest_ms = -1

    def forget(self) -> None:
        """Forget the state: it is that of another connection, and the host can be gone since."""
        self.online = not self._has_host
        self._newest_ms = -1

    def on_state(self, data: bytes) -> bool:
        """Handle a STATE message; return whether `online` changed. Ignores older messages."""
        try:
            state = json.loads(data)
            online, time_ms = state["online"], int(state["timestamp"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return False
        if not isinstance(online, bool) or time_ms < self._newest_ms or not self._has_host:
            return False
        self._newest_ms = time_ms
        changed, self.online = online != self.online, online
        return changed
