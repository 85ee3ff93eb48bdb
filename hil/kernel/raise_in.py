# SPDX-License-Identifier: Apache-2.0
"""Fault injection: one piece of the agent raises an exception at its k-th call.

This module is portable, so that it also works in a MicroPython process. Does not choose the piece;
see `hil.fault.agent`. It replaces the methods that the agent calls by functions that count. All
methods of a piece share one counter, or one method is named (`safety.tick`). After the exception
the piece works as before.

The word `heap` is a real failure of an allocation: on MicroPython the heap is locked during the
call, so the first allocation inside it raises MemoryError. CPython raises at the begin of the call.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent

_LOOP = ("step",)
_LOOPS = ("supply", "pressure", "fans")
_BUS = ("receive", "wake", "event", "outbox")
_RECEIVER = ("receive", "take_fixes")
_UPLINK = ("receive", "wake", "event", "outbox", "deadline", "flush")
_DEVICE = ("poll", "handle_result")
_COMPONENT = (
    "start",
    "receive",
    "event",
    "link_receive",
    "link_event",
    "protect",
    "read_inputs",
    "before_control",
    "while_off",
    "tick",
    "wake",
    "deadline",
    "outbox",
    "active_conditions",
    "values",
    "status",
    "handle_command",
)


class InjectedError(Exception):
    """The injected exception."""


ERRORS = {
    "memory": MemoryError,
    "recursion": RuntimeError,  # RecursionError is a RuntimeError; MicroPython has only that
    "os": OSError,
    "assertion": AssertionError,
    "heap": MemoryError,
}
"""Other exceptions, by the word that names them."""

_HEAP = "heap"


class CallCounter:
    """Counts the calls of one piece; raises at call number `call`."""

    def __init__(self, call: int, word: str) -> None:
        self.count = 0
        self._call = call
        self._error = ERRORS.get(word, InjectedError)
        self._locks_heap = word == _HEAP and sys.implementation.name == "micropython"

    def wrap(self, piece: "Any", name: str) -> None:
        """Replace a method of `piece`."""
        method = getattr(piece, name)

        def counted(*arguments: "Any") -> "Any":
            self.count += 1
            if self.count == self._call:
                if self._locks_heap:
                    return _call_without_heap(method, arguments)
                raise self._error("injected")
            return method(*arguments)

        setattr(piece, name, counted)


def _call_without_heap(method: "Any", arguments: "tuple[Any, ...]") -> "Any":
    import micropython  # type: ignore[import-not-found]  # noqa: PLC0415 - only there

    micropython.heap_lock()
    try:
        return method(*arguments)
    finally:
        micropython.heap_unlock()


def find_piece(agent: "Agent", name: str) -> "tuple[Any, tuple[str, ...]] | None":
    """Return the piece `name` and the methods that the agent calls; None: it has no such piece."""
    loops = (agent.supply_loop, agent.pressure_loop, agent.service("fan_group"))
    if name in _LOOPS:
        return loops[_LOOPS.index(name)], _LOOP
    if name == "receiver":
        return agent.receiver, _RECEIVER
    if name == "broker":
        return agent.uplink, _UPLINK
    for bus_name, bus in zip(agent.fieldbus.names, agent.fieldbus.buses):
        if name == bus_name:
            return bus, _BUS
    for session in agent.fieldbus.sessions:
        if name == session.name:
            return session, _DEVICE
    for (section, _, _), component in zip(agent.config.components, agent.components):
        if name == section:
            return component, _COMPONENT
    return None


def inject(agent: "Agent", text: str, call: int) -> "CallCounter | None":
    """Make a piece raise at call number `call` from now on.

    `text`: the name of the piece, with or without one of its methods (`safety.tick`). A word after
    it names another exception of `ERRORS`.
    """
    words = text.split()
    piece_name, _, method = words[0].partition(".")
    found = find_piece(agent, piece_name)
    if found is None or found[0] is None:
        return None
    counter = CallCounter(call, words[-1])
    piece, names = found
    for name in names:
        if method in ("", name):
            counter.wrap(piece, name)
    return counter
