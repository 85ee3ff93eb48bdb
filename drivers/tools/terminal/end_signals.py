# SPDX-License-Identifier: Apache-2.0
"""The signals that end a command: SIGINT, SIGTERM, and SIGHUP of a lost terminal.

Does not end anything by itself. A signal that the parent ignores stays ignored: `nohup` ignores
SIGHUP. A lost terminal sends several signals together. The ones that follow the first within
`_SAME_S` belong to it, so they do not end the work that the first one has started.
"""

import signal
import time
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    Handler = Callable[[int, "FrameType | None"], object]

END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SAME_S = 0.3


def handle_end_signals(handler: "Handler") -> None:
    """Set the handler of the signals that end a command, except of those that are ignored."""
    for number in END_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def raise_on_end_signals() -> None:
    """Let each signal that ends a command raise KeyboardInterrupt."""
    handle_end_signals(_Interrupter())


class EndSignal(KeyboardInterrupt):
    """A signal that ends a command; `number` is its number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class _Interrupter:
    """Raises EndSignal; not again for a signal that comes with the first one."""

    def __init__(self) -> None:
        self._last_s = float("-inf")

    def __call__(self, number: int, _frame: "FrameType | None") -> None:
        now_s = time.monotonic()
        if now_s - self._last_s < _SAME_S:
            return
        self._last_s = now_s
        raise EndSignal(number)


@contextmanager
def deferred_end_signals() -> "Iterator[None]":
    """Let the signals that end a command wait until the block has ended."""
    waiting: list[int] = []

    def note(number: int, _frame: "FrameType | None") -> None:
        waiting.append(number)

    handlers = {number: signal.signal(number, note) for number in END_SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])
