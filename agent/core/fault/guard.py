# SPDX-License-Identifier: Apache-2.0
"""Guard of the agent: an exception in one piece does not end the agent.

A piece is a port decoder, a component, a control loop, a device session or a listener. The caller
makes each call of a piece in a `try` and passes an exception to `handle`. Does not decide what then
happens; see `agent.core.fault.containment`. That module is loaded at the first exception, so that a
healthy board does not hold it.

A reaction needs memory too. If there is none, the piece runs on as it is, and the next exception
has its reaction. More than `_MAX_FAILURES` of them in sequence leave the agent.

An exception in the core (tick schedule, supervisor, clock) is not handled here. It leaves the
agent, and the runtime restarts the agent (`agent.runtime.crash_limit`).
"""

import gc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.fault.containment import Containment


_MAX_FAILURES = 10


class Guard:
    """The guard of `agent`. `containment`: None while no piece has raised an exception.

    `restarts`: restarts of the agent in this process after an exception in its core.
    """

    def __init__(self, agent: "Any", restarts: int) -> None:
        self._agent = agent
        self.restarts = restarts
        self.containment: Containment | None = None
        self._failures = 0

    def handle(self, piece: "Any", error: Exception, now: int, data: bytes = b"") -> None:
        """Contain `error` of `piece`: a port number or an object. `data`: the input, if any."""
        try:
            self._react(piece, error, now, data)
            self._failures = 0
        except MemoryError:
            self._failures += 1
            gc.collect()
            if self._failures > _MAX_FAILURES:
                raise

    def _react(self, piece: "Any", error: Exception, now: int, data: bytes) -> None:
        if isinstance(error, MemoryError):
            gc.collect()
        if self.containment is None:
            from agent.core.fault.containment import Containment  # noqa: PLC0415 - only after a fault

            self.containment = Containment(self._agent)
        self.containment.handle(piece, error, now, data)
