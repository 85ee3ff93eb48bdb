# SPDX-License-Identifier: Apache-2.0
"""Toy agent with the interface of the agent, for tests of the runtimes on both interpreters.

    python -m tests.support.toy_agent [--tick MICROSECONDS] ADDRESS ...

Port n is the n-th address. The toy agent opens its ports, opens them again 50 ms after "failed" or
"closed", and sends back received data. It prints one line for each event:

    event PORT KIND     data PORT LENGTH     tick COUNT     end CODE

Data that begin with `!` are a command: `!quit`, `!close`, `!more N` (write N bytes in one call),
`!set OPTIONS`, `!store KEY TEXT` (write a record on port 1), `!ask OPERATION KEY TEXT` (any
operation of the store on port 1; the output has the complete answer: `answer TEXT`).
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NEVER = 1 << 62
RETRY = 50_000
LAST_BYTES = b"bye\n"


def pattern(count: int) -> bytes:
    """Return `count` bytes in which a lost or repeated byte is visible."""
    text = bytearray(count + 8)  # in place: a list of lines would fill the heap of MicroPython
    for at in range(0, count, 8):
        text[at : at + 8] = b"%07d\n" % (at // 8)
    return bytes(memoryview(text)[:count])


class ToyAgent:
    """Echoes data, retries ports, executes commands."""

    def __init__(
        self, addresses: "list[str]", tick: int, print_line: "Callable[[str], None]"
    ) -> None:
        self.quit = False
        self._addresses = addresses
        self._print_line = print_line
        self._outbox: list[tuple[int, str, bytes]] = []
        self._retry: dict[int, int] = {}
        self._tick = tick
        self._ticks = 0
        self._next_tick = NEVER
        for port in range(len(addresses)):
            self._open(port)

    def start(self, now: int) -> None:
        if self._tick:
            self._next_tick = now + self._tick

    def _open(self, port: int) -> None:
        self._outbox.append((port, "open", self._addresses[port].encode()))

    def receive(self, port: int, data: bytes, now: int) -> None:
        self._print_line(f"data {port} {len(data)}")
        assert type(data) is bytes, type(data)
        assert 0 < len(data) <= 1024, len(data)
        if port == 1 and self._addresses[1].startswith("store:"):
            self._print_line("answer " + repr(data))
        elif data[:1] == b"!":
            parts = str(data, "ascii").split()
            self._run_order(port, parts[0], parts[1:])
        else:
            self._outbox.append((port, "write", data))

    def _run_order(self, port: int, command: str, arguments: "list[str]") -> None:
        if command == "!quit":
            self.quit = True
        elif command == "!close":
            self._outbox.append((port, "close", b""))
        elif command == "!more":
            self._outbox.append((port, "write", pattern(int(arguments[0]))))
        elif command == "!set":
            self._outbox.append((port, "set", arguments[0].encode()))
        elif command == "!store":
            self._outbox.append((1, "write", arguments[0].encode() + b"\0" + arguments[1].encode()))
        elif command == "!ask":
            self._outbox.append(
                (1, arguments[0], b"\0".join([argument.encode() for argument in arguments[1:]]))
            )

    def event(self, port: int, kind: str, now: int) -> None:
        self._print_line(f"event {port} {kind}")
        if kind in ("failed", "closed"):
            self._retry[port] = now + RETRY

    def wake(self, now: int) -> None:
        if now >= self._next_tick:
            self._next_tick += self._tick
            self._ticks += 1
            self._print_line(f"tick {self._ticks}")
        for port in range(len(self._addresses)):
            if self._retry.get(port, NEVER) <= now:
                del self._retry[port]
                self._open(port)

    def deadline(self) -> int:
        return min(self._next_tick, min(self._retry.values()) if self._retry else NEVER)

    def outbox(self) -> "list[tuple[int, str, bytes]]":
        out, self._outbox = self._outbox, []
        return out

    def send_last_bytes(self) -> None:
        self._outbox.append((0, "write", LAST_BYTES))


def main(arguments: "list[str]") -> int:
    if sys.implementation.name == "cpython":
        from agent.runtime import cpython as shell  # noqa: PLC0415
    else:
        from agent.runtime import micropython as shell  # type: ignore[no-redef]  # noqa: PLC0415
    tick = 0
    if arguments[0] == "--tick":
        tick = int(arguments[1])
        arguments = arguments[2:]
    toy = ToyAgent(arguments, tick, _print)
    toy.start(shell.monotonic())

    def until() -> bool:
        if toy.quit:
            toy.send_last_bytes()
        return toy.quit

    code = shell.run(toy, until)
    _print(f"end {code}")
    return 0


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
