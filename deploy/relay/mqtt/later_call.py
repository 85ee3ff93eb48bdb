# SPDX-License-Identifier: Apache-2.0
"""A call after the delays of `retry_delays`, in a thread of its own: what a broker has refused.

The rights at a broker can change while the connection is open, and no message says so.
"""

import threading
from collections.abc import Callable

from deploy.relay.retry_delays import retry_delays


class LaterCall:
    """Calls `action` some time after each `start`, later each time until `reset`."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action
        self._delays = retry_delays()
        self._timer: threading.Timer | None = None

    def start(self) -> None:
        """Call the action after the next delay."""
        self._cancel()
        self._timer = threading.Timer(next(self._delays), self._action)
        self._timer.daemon = True
        self._timer.start()

    def reset(self) -> None:
        """Drop the call, if one is due; the next delay is the first one."""
        self._cancel()
        self._delays = retry_delays()

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
