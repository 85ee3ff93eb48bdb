# SPDX-License-Identifier: Apache-2.0
"""A line on stderr while a long step works whose end is not known: what it does, and for how long.

Does not estimate the rest; `hil.io.progress` does, for steps that are counted. On a terminal
it renews its line each half second. Elsewhere it prints a line each 30 s, so that a log shows that
the command works. A step shorter than 2 s has no line.
"""

import sys
import threading
import time
from types import TracebackType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_START_S, _TERMINAL_S, _LOG_S = 2.0, 0.5, 30.0


class ActivityLine:
    """The line of one step, for a `with` block. `text`: such as "builds the image"."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._is_terminal = sys.stderr.isatty()
        self._has_line = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="activity", daemon=True)
        self._started_s = time.monotonic()

    def _work(self) -> None:
        wait_s = _START_S if self._is_terminal else _LOG_S
        while not self._ended.wait(wait_s):
            line = "%s, %d s" % (self._text, time.monotonic() - self._started_s)
            sys.stderr.write("\r%s\x1b[K" % line if self._is_terminal else line + "\n")
            sys.stderr.flush()
            self._has_line = self._is_terminal
            wait_s = _TERMINAL_S if self._is_terminal else _LOG_S

    def __enter__(self) -> "Self":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        traceback: "TracebackType | None",
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._has_line:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
