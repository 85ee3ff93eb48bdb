"""What systemd hears of a unit without a watchdog of its own: READY=1, and WATCHDOG=1 each cycle.

For `Type=notify` units (sd_notify(3)). Where the configuration has `watchdog:systemd` in its
section `safety`, that port does all of this (`drivers/ports/cpython/watchdog.py`) and this module
does nothing. `SystemdNotifier.update` is what the shell calls after every turn; it has no thread
and no timer. It tells READY=1 when the agent has been started, and WATCHDOG=1 when the loops have
been stepped since it last did: an agent that turns but no longer runs its cycles is not fed.
"""

import os
import socket

from agent.core.config_records import Config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class LoopStatus(Protocol):
        """Anything that says when its loops were stepped last (monotonic us; None: not yet)."""

        @property
        def last_step(self) -> int | None: ...  # noqa: D102


SYSTEMD = "watchdog:systemd"


class SystemdNotifier:
    """The unit's connection to systemd; `update` is the shell's `until`."""

    def __init__(self, agent: "LoopStatus", path: str) -> None:
        """Take the agent, and the path of systemd's socket (`@` begins an abstract one)."""
        self._agent = agent
        self._path = "\0" + path[1:] if path.startswith("@") else path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._ready = False
        self._last_step: int | None = None

    def update(self) -> bool:
        """Tell systemd what there is to tell; always False, since nothing here ends the agent."""
        if not self._ready:
            self._ready = self._send(b"READY=1")
        elif self._agent.last_step != self._last_step and self._send(b"WATCHDOG=1"):
            self._last_step = self._agent.last_step
        return False

    def _send(self, message: bytes) -> bool:
        """Send one datagram; what cannot be sent now is tried again at the next look."""
        try:
            self._socket.sendto(message, self._path)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def notifier_for(agent: "LoopStatus", config: Config) -> SystemdNotifier | None:
    """Make what `agent` needs to tell; None when systemd does not listen or a port tells it."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path or any(str(address) == SYSTEMD for _, _, address in config.components):
        return None
    return SystemdNotifier(agent, path)
