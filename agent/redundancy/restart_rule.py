# SPDX-License-Identifier: Apache-2.0
"""When a controller of a pair starts its process again, at the request of its agent.

Does not start anything; see `paired_agent`. An active controller gives up the role before it, if
the other controller is there: a planned swap is shorter than the silence of a start.
"""

from protocols.time_units import SECOND

_WAIT_US = 10 * SECOND


class RestartRule:
    """The request. `is_asked`: a restart waits for the swap."""

    def __init__(self) -> None:
        self._request = b""
        self._until = 0

    @property
    def is_asked(self) -> bool:
        """Whether a restart waits for the swap."""
        return bool(self._request)

    def take(self, request: bytes, has_peer: bool, now: int) -> bool:
        """Take a request of the agent; False: it is not to wait."""
        if not has_peer:
            return False
        if not self._request:
            self._request, self._until = request, now + _WAIT_US
        return True

    def due(self, has_role: bool, now: int) -> bytes:
        """Return the request when the role is given up, or when that took too long."""
        if has_role and now < self._until:
            return b""
        request, self._request = self._request, b""
        return request
