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
_TERMINAL_INTERVAL_S, _LOG_INTERVAL_S = 0.5, 30.0
_MIN_SAMPLES = 3


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

    def __init__(self, total: int | None, item_name: str) -> None:
        self._total = total
        self._item_name = item_name
        self._is_terminal = sys.stderr.isatty()
        self._started_s = time.monotonic()
        self._next_s = self._started_s + (START_S if self._is_terminal else _LOG_INTERVAL_S)
        self._samples: deque[tuple[float, int]] = deque(((self._started_s, 0),))
        self._has_line = False

    def update(self, completed: int, note: str = "") -> None:
        """Tell how many items are done; `note` is shown behind them."""
        now_s = time.monotonic()
        self._samples.append((now_s, completed))
        window = completed if self._total is None else self._total / 5
        while len(self._samples) > _MIN_SAMPLES and self._samples[1][1] < completed - window:
            self._samples.popleft()
        if now_s < self._next_s or completed == self._total:
            return
        self._next_s = now_s + (_TERMINAL_INTERVAL_S if self._is_terminal else _LOG_INTERVAL_S)
        parts = (
            f"{completed}{'' if self._total is None else f' of {self._total}'} {self._item_name}",
            note,
            self._remaining_text(now_s, completed),
        )
        self._write(", ".join(part for part in parts if part))

    def _remaining_text(self, now_s: float, completed: int) -> str:
        reference_s, reference_count = self._samples[0]
        if reference_count == 0 and len(self._samples) > _MIN_SAMPLES:
            reference_s, reference_count = self._samples[1]
        if self._total is None or completed <= reference_count or now_s - self._started_s < START_S:
            return ""
        return format_remaining(
            (now_s - reference_s) / (completed - reference_count) * (self._total - completed)
        )

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
