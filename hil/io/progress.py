# SPDX-License-Identifier: Apache-2.0
"""One progress line of a long command on stderr, with the remaining time.

Does not print results. On a terminal it renews its line twice a second. Elsewhere it prints a line
each 30 s, so that a log shows that the command works. The remaining time comes from the rate since
a fifth of the work ago, and not before 2 s: the first items are slow, because code is loaded.
"""

import sys
import time
from collections import deque
from typing import Self

START_S = 2.0
"""A command shorter than this has no progress line, s."""
_TERMINAL_S, _LOG_S = 0.5, 30.0
_MIN_POINTS = 3


def format_remaining(seconds: float) -> str:
    """Return a time for people: rounded to what an estimate can promise."""
    if seconds < 90:
        return f"about {max(1, round(seconds)):d} s left"
    if seconds < 5400:
        return f"about {round(seconds / 60):d} min left"
    return f"about {seconds / 3600:.1f} h left"


class ProgressLine:
    """The line of a command with `total` items. Use it in a `with` block.

    `total` None: the number is not known, and so is the remaining time.
    """

    def __init__(self, total: int | None, noun: str) -> None:
        self._total = total
        self._noun = noun
        self._is_terminal = sys.stderr.isatty()
        self._started_s = time.monotonic()
        self._next_s = self._started_s + (START_S if self._is_terminal else _LOG_S)
        self._points: deque[tuple[float, int]] = deque(((self._started_s, 0),))
        self._has_line = False

    def update(self, done: int, note: str = "") -> None:
        """Tell how many items are done; `note` is shown behind them."""
        now = time.monotonic()
        self._points.append((now, done))
        window = done if self._total is None else self._total / 5
        while len(self._points) > _MIN_POINTS and self._points[1][1] < done - window:
            self._points.popleft()
        if now < self._next_s or done == self._total:
            return
        self._next_s = now + (_TERMINAL_S if self._is_terminal else _LOG_S)
        count = (
            f"{done} {self._noun}"
            if self._total is None
            else f"{done} of {self._total} {self._noun}"
        )
        parts = (count, note, self._remaining_text(now, done))
        self._write(", ".join(part for part in parts if part))

    def _remaining_text(self, now: float, done: int) -> str:
        first_s, first = self._points[0]
        if first == 0 and len(self._points) > _MIN_POINTS:
            first_s, first = self._points[1]
        if self._total is None or done <= first or now - self._started_s < START_S:
            return ""
        return format_remaining((now - first_s) / (done - first) * (self._total - done))

    def _write(self, text: str) -> None:
        self._has_line = self._is_terminal
        sys.stderr.write(f"\r{text}\x1b[K" if self._is_terminal else text + "\n")
        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._has_line:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
