# SPDX-License-Identifier: Apache-2.0
"""Distributes frames and states from the bench's thread to all browsers.

Does not contain the bench or the web server; see `hil.page.session` and `hil.page.server`. A frame
holds numbers and comes ten times a second. A state holds all other values and comes after a change.
The hub writes each as JSON once and puts it into the queue of each listener. A slow listener loses
frames first. If it reads nothing, its queue is emptied, and it starts again with the first message.
The hub keeps the frames of the last minutes for a page that is reloaded.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

HISTORY_S = 900
"""Length of the history for a new page, s, with one frame a second."""
_MAX_FRAMES = 64
_MAX_QUEUED = 128
"""Messages that wait for a browser: above the first it loses frames, at the second it restarts."""


class PageMessage(NamedTuple):
    """A server-sent event: its name, and its value as JSON."""

    event: str
    json_text: str


@dataclass(frozen=True)
class Curve:
    """One number of a frame: key, title of its plot ("": none), unit, label, and kind.

    `kind`: read (by the controller), set (by the controller), true (in the emulated plant), or "".
    """

    key: str
    plot: str
    unit: str
    label: str
    kind: str = ""


class BroadcastHub:
    """The hub of one page. The bench's thread calls `publish_frame`, `publish_state` and
    `publish_break`; the thread of the web server calls the other methods.
    """

    def __init__(self, curves: tuple[Curve, ...]) -> None:
        self.curves = curves
        self._history: deque[list[float | None]] = deque(maxlen=HISTORY_S)
        self._state: dict[str, Any] = {}
        self._listeners: list[asyncio.Queue[PageMessage]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def set_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the event loop of the web server."""
        self._loop = loop

    def publish_frame(self, at_s: float, values: list[float | None], to_history: bool) -> None:
        """Publish numbers in the order of `curves`; `to_history` adds them to the history.

        `at_s` is UTC in Unix seconds.
        """
        frame = [round(at_s, 2), *(None if value is None else round(value, 3) for value in values)]
        if to_history:
            self._history.append(frame)
        self._publish("frame", frame)

    def publish_state(self, state: dict[str, Any]) -> None:
        """Publish the state if it has changed."""
        if state != self._state:
            self._state = state
            self._publish("state", state)

    def publish_break(self) -> None:
        """End the curves of a session; those of the next one begin apart, and both stay."""
        if self._history:
            self._history.append([self._history[-1][0], *([None] * len(self.curves))])
        self._publish("break", None)

    def _publish(self, name: str, value: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            message = PageMessage(name, json.dumps(value, separators=(",", ":")))
            self._call_in_loop(self._distribute, message)

    def _call_in_loop(self, call: Callable[..., None], *arguments: object) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(call, *arguments)

    def _distribute(self, message: PageMessage) -> None:
        for queue in self._listeners:
            if queue.qsize() >= _MAX_QUEUED:
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(self._make_hello())
            elif message.event != "frame" or queue.qsize() < _MAX_FRAMES:
                queue.put_nowait(message)

    def subscribe(self) -> "asyncio.Queue[PageMessage]":
        """Give a new page its queue; the first message holds curves, history and state."""
        queue: asyncio.Queue[PageMessage] = asyncio.Queue()
        queue.put_nowait(self._make_hello())
        self._listeners.append(queue)
        return queue

    def _make_hello(self) -> PageMessage:
        curves = [vars(curve) for curve in self.curves]
        hello = {"curves": curves, "history": list(self._history), "state": self._state}
        return PageMessage("hello", json.dumps(hello, separators=(",", ":")))

    def unsubscribe(self, queue: "asyncio.Queue[PageMessage]") -> None:
        """Remove the queue of a page that is closed."""
        self._listeners.remove(queue)

    @property
    def current_state(self) -> dict[str, Any]:
        """The last published state."""
        return self._state
