# SPDX-License-Identifier: Apache-2.0
"""A clock for tests that skips pauses: it stands in for the module `time` of the code under test.

Not virtual time: between two pauses it follows the real clock, so code that polls goes on. A test
and its emulated device use the same clock; a skipped pause has passed for both.
"""

import threading
import time


class SkippedTime:
    """As the module `time`, with pauses that take no real time. For several threads."""

    def __init__(self) -> None:
        self._skipped_s = 0.0
        self._lock = threading.Lock()

    def sleep(self, pause_s: float) -> None:
        """Advance the clock by `pause_s`, in seconds; other threads get their turn."""
        assert pause_s >= 0.0
        with self._lock:
            self._skipped_s += pause_s
        time.sleep(0)

    def monotonic(self) -> float:
        """Return seconds since a fixed moment."""
        with self._lock:
            return time.monotonic() + self._skipped_s
