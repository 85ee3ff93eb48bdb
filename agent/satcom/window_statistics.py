"""What came of each window: tries, successes, bytes, and how soon the first one got through.

Not the prediction (agent.satcom.pass_predictor). A window here is a time in which the carrier wanted to
use the link: predicted, or heard. The last `_KEPT` are kept for the status.
"""

from agent.core.json_writer import Object

_KEPT = 8


class Window:
    """One window, times in monotonic microseconds."""

    def __init__(self, start: int, predicted: bool) -> None:
        self.start = start
        self.end: int | None = None
        self.predicted = predicted
        self.tried = 0
        self.sent = 0
        self.bytes = 0
        self.first_us: int | None = None

    def show(self) -> Object:
        """Write it for the status."""
        return Object(
            [
                ("start_us", self.start),
                ("end_us", self.end),
                ("predicted", self.predicted),
                ("tried", self.tried),
                ("sent", self.sent),
                ("bytes", self.bytes),
                ("first_us", self.first_us),
            ]
        )


class Windows:
    """The windows so far; `now_open` is the present one."""

    def __init__(self) -> None:
        self.count = 0
        self.useful = 0
        self.now_open: Window | None = None
        self.last: list[Window] = []

    def set(self, is_open: bool, predicted: bool, now: int) -> bool:
        """Open or close; True when one was opened."""
        present = self.now_open
        if is_open and present is None:
            self.count += 1
            self.now_open = Window(now, predicted)
            self.last.append(self.now_open)
            if len(self.last) > _KEPT:
                self.last.pop(0)
            return True
        if not is_open and present is not None:
            present.end = now
            self.now_open = None
        return False

    def tried(self, size: int, good: bool, now: int) -> None:
        """Note a session."""
        window = self.now_open
        if window is None:
            return
        window.tried += 1
        if good:
            self.useful += window.sent == 0
            window.sent += 1
            window.bytes += size
            if window.first_us is None:
                window.first_us = now - window.start
