# SPDX-License-Identifier: Apache-2.0
"""A harness: one parser that takes any bytes. Its input raises only the errors of the protocol.

Does not make inputs; see `tests.fuzz.mutation` and `tests.fuzz.campaign`. `Harness.run` checks
three things for each input: the type of an exception, the CPU time, and, at intervals, the bytes
and entries that the parser retains.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

MAX_INPUT = 4096
_MAX_SECONDS = 0.5
"""CPU time of one input. Coverage tracing makes an input about 5 times slower."""
_MAX_RETAINED_BYTES = 256 * 1024
_MAX_ENTRIES = 20_000
_CHECK_EVERY = 512
_DEPTH = 5
_OWN = ("agent", "drivers", "protocols", "hil", "deploy")

Feed = Callable[[bytes], None]


class HarnessError(AssertionError):
    """An input took too long, or a parser retains too much."""


class Harness:
    """`make` returns (the function that takes an input, the object whose size is checked)."""

    def __init__(
        self,
        name: str,
        make: Callable[[], tuple[Feed, object]],
        errors: tuple[type[Exception], ...] = (),
        seeds: Sequence[bytes] = (),
    ) -> None:
        self.name = name
        self.seeds = [seed for seed in seeds if seed] or [b"\0"]
        self.count = 0
        self._errors = errors
        self._feed, self._parser = make()

    def run(self, data: bytes) -> None:
        """Give one input to the parser. Raises what the parser must not raise."""
        self.count += 1
        started = time.thread_time()
        with contextlib.suppress(*self._errors):
            self._feed(data)
        seconds = time.thread_time() - started
        if seconds > _MAX_SECONDS:
            raise HarnessError(f"{self.name}: {seconds:.2f} s for {len(data)} bytes")
        if self.count % _CHECK_EVERY == 0 and self._parser is not None:
            self.check_size()

    def close(self) -> None:
        """Release what the parser holds outside of memory.

        Without a parser whose size is checked, this is the object of the function.
        """
        parser = self._parser or getattr(self._feed, "__self__", None)
        if hasattr(parser, "close"):
            parser.close()

    def check_size(self) -> None:
        """Check how much the parser retains."""
        size, entries = retained(self._parser)
        if size > _MAX_RETAINED_BYTES or entries > _MAX_ENTRIES:
            raise HarnessError(f"{self.name}: {size} bytes and {entries} entries are retained")


def retained(root: object) -> tuple[int, int]:
    """Return (bytes in buffers and texts, entries of containers) that an object holds."""
    size = entries = 0
    seen: set[int] = set()
    pending: list[tuple[Any, int]] = [(root, 0)]
    while pending:
        value, depth = pending.pop()
        if id(value) in seen or depth > _DEPTH:
            continue
        seen.add(id(value))
        children: list[Any] = []
        if isinstance(value, (bytes, bytearray, str)):
            size += len(value)
        elif isinstance(value, dict):
            children = [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            children = list(value)
        elif type(value).__module__.split(".")[0] in _OWN:
            children = list(vars(value).values()) if hasattr(value, "__dict__") else []
            for slot in getattr(type(value), "__slots__", ()):
                children.append(getattr(value, slot, None))
            entries -= len(children)
        entries += len(children)
        pending.extend((child, depth + 1) for child in children)
    return size, entries


def chunks(data: bytes) -> list[bytes]:
    """Split an input as a port does: its first byte gives the size of the pieces."""
    if len(data) < 2:
        return [data]
    size = (1, 7, 32, 4096)[data[0] & 3]
    return [data[at : at + size] for at in range(1, len(data), size)]
