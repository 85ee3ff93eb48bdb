"""What the page shows, on its way from the bench's thread to every browser.

Not the bench and not the web server: a frame (numbers, ten times a second) and a state (all else,
when it changes) go in as Python, are written as JSON once, and come out at every listener's queue.
A listener that is too slow loses frames, never states. The last minutes of frames are kept, so that
a page that is loaded again in mid-run has its curves.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

HISTORY_S = 900
"""Seconds of history that a new page gets, one sample a second."""
_MAX_QUEUED = 64


class PageMessage(NamedTuple):
    """A server-sent event: its name, and its value as JSON."""

    event: str
    json_text: str


@dataclass(frozen=True)
class Curve:
    """One number of a frame: its key, the plot it belongs to (or none), unit and label."""

    key: str
    plot: str
    unit: str
    label: str


class BroadcastHub:
    """One for a page. `publish_frame` and `publish_state` belong to the bench's thread, the rest to
    the web's.
    """

    def __init__(self, curves: tuple[Curve, ...]) -> None:
        self.curves = curves
        self._history: deque[list[float | None]] = deque(maxlen=HISTORY_S)
        self._state: dict[str, Any] = {}
        self._listeners: list[asyncio.Queue[PageMessage]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def set_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop of the web's thread."""
        self._loop = loop

    def publish_frame(self, at_s: float, values: list[float | None], to_history: bool) -> None:
        """Publish numbers in the order of `curves`; `to_history` puts them into the history."""
        frame = [round(at_s, 1), *(None if value is None else round(value, 3) for value in values)]
        if to_history:
            self._history.append(frame)
        self._publish("frame", frame)

    def publish_state(self, state: dict[str, Any]) -> None:
        """Publish the state, when it changed."""
        if state != self._state:
            self._state = state
            self._publish("state", state)

    def clear_history(self) -> None:
        """Forget the history: another run begins."""
        self._history.clear()
        self._publish("clear", None)

    def _publish(self, name: str, value: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            message = PageMessage(name, json.dumps(value, separators=(",", ":")))
            self._call_in_loop(self._distribute, message)

    def _call_in_loop(self, call: Callable[..., None], *arguments: object) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(call, *arguments)

    def _distribute(self, message: PageMessage) -> None:
        for queue in self._listeners:
            if message.event != "frame" or queue.qsize() < _MAX_QUEUED:
                queue.put_nowait(message)

    def subscribe(self) -> "asyncio.Queue[PageMessage]":
        """Give a new page its queue, with all it needs to begin."""
        queue: asyncio.Queue[PageMessage] = asyncio.Queue()
        curves = [vars(c) for c in self.curves]
        hello = {"curves": curves, "history": list(self._history), "state": self._state}
        queue.put_nowait(PageMessage("hello", json.dumps(hello, separators=(",", ":"))))
        self._listeners.append(queue)
        return queue

    def unsubscribe(self, queue: "asyncio.Queue[PageMessage]") -> None:
        """Forget a page that is gone."""
        self._listeners.remove(queue)

    @property
    def current_state(self) -> dict[str, Any]:
        """The state that was published last."""
        return self._state
