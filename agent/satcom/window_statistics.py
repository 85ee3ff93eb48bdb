# SPDX-License-Identifier: Apache-2.0
"""Statistics of contact windows: attempts, successes, bytes, and the delay of the first success.

Does not predict windows; see `agent.satcom.pass_predictor`. A window here is a time when the link
was to be used: predicted, or observed. The last `_MAX_WINDOWS` are kept for the status.
"""

from agent.core.json_writer import JsonObject

_MAX_WINDOWS = 8


class ContactWindow:
    """A contact window, times in monotonic µs."""

    def __init__(self, start: int, predicted: bool) -> None:
        self.start = start
        self.end: int | None = None
        self.predicted = predicted
        self.tried = 0
        self.sent = 0
        self.bytes = 0
        self.first_delay_us: int | None = None

    def to_json(self) -> JsonObject:
        """Return the window for the status."""
        return JsonObject(
            [
                ("start_us", self.start),
                ("end_us", self.end),
                ("predicted", self.predicted),
                ("tried", self.tried),
                ("sent", self.sent),
                ("bytes", self.bytes),
                ("first_us", self.first_delay_us),
            ]
        )


class WindowStatistics:
    """All windows; `open_window` is the present one."""

    def __init__(self) -> None:
        self.count = 0
        self.success_windows = 0
        self.open_window: ContactWindow | None = None
        self.recent: list[ContactWindow] = []

    def update(self, is_open: bool, predicted: bool, now: int) -> bool:
        """Open or close a window. Return True if one was opened."""
        current = self.open_window
        if is_open and current is None:
            self.count += 1
            self.open_window = ContactWindow(now, predicted)
            self.recent.append(self.open_window)
            if len(self.recent) > _MAX_WINDOWS:
                self.recent.pop(0)
            return True
        if not is_open and current is not None:
            current.end = now
            self.open_window = None
        return False

    def add_session(self, size: int, succeeded: bool, now: int) -> None:
        """Add a session to the present window."""
        window = self.open_window
        if window is None:
            return
        window.tried += 1
        if succeeded:
            self.success_windows += window.sent == 0
            window.sent += 1
            window.bytes += size
            if window.first_delay_us is None:
                window.first_delay_us = now - window.start
