# SPDX-License-Identifier: Apache-2.0
"""Notify systemd: READY=1 after the start, WATCHDOG=1 in each control cycle.

Does nothing if the section `safety` has `watchdog:systemd`; then that port does it (see
`drivers/ports/cpython/watchdog.py`).

For `Type=notify` units (sd_notify(3)). The runtime calls `SystemdNotifier.update` after each step;
there is no thread and no timer. It sends READY=1 when the agent has started. It sends WATCHDOG=1
only after a complete control cycle, so an agent without control cycles, or whose protection does
not run, is restarted.
"""

import os
import socket

from agent.core.config_records import Config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class LoopStatus(Protocol):
        """An object with the time of its last complete cycle (monotonic µs; None: not yet)."""

        @property
        def watched_step(self) -> int | None: ...  # noqa: D102


SYSTEMD = "watchdog:systemd"


class SystemdNotifier:
    """The connection of the unit to systemd. `update` is the `until` of the runtime."""

    def __init__(self, agent: "LoopStatus", path: str) -> None:
        """`path` is the socket of systemd; `@` marks an abstract one."""
        self._agent = agent
        self._path = "\0" + path[1:] if path.startswith("@") else path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._ready = False
        self._last_step: int | None = None

    def update(self) -> bool:
        """Send a pending notification. Returns False, because nothing here ends the agent."""
        if not self._ready:
            self._ready = self._send(b"READY=1")
        elif self._agent.watched_step != self._last_step and self._send(b"WATCHDOG=1"):
            self._last_step = self._agent.watched_step
        return False

    def _send(self, message: bytes) -> bool:
        """Send one datagram. If that fails, the next call of `update` tries again."""
        try:
            self._socket.sendto(message, self._path)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def notifier_for(agent: "LoopStatus", config: Config) -> SystemdNotifier | None:
    """Return a notifier for `agent`. None: systemd does not listen, or a port notifies it."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path or any(str(address) == SYSTEMD for _, _, address in config.components):
        return None
    return SystemdNotifier(agent, path)
