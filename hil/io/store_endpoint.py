"""The far end of a store in virtual time: flash that takes its time, and that the power may leave.

Not a file system. Requests are carried out one after another, each `delay_us` after the one before;
only what has been carried out is durable. `cut` is a power cut: what was asked and not carried out
is lost, and the request under way may be half done, as on real flash: an append leaves any part of
its bytes, a write or a delete has happened or has not. Faults: `capacity` (a full disk fails the
port), `flip` (a bit), `tear` (the tail of a record), `absent` (the folder is not there).
"""

import random
from collections.abc import Callable

from drivers.ports.store_request import listing
from hil.shells.virtual import VirtualShell

_OPEN_TIME = 1_000
DELAY_US = 2_000
"""Microseconds of one request, as measured for an append with fsync on MicroPython's unix port."""

Request = tuple[str, str, bytes]


class StoreEnd:
    """Records by key, behind port number `port`; they outlive the controller."""

    def __init__(
        self, shell: VirtualShell, port: int, chance: random.Random, delay_us: int = DELAY_US
    ) -> None:
        self.records: dict[str, bytes] = {}
        self.capacity: int | None = None
        self.absent = False
        self.failures = 0
        self.durable_writes = 0
        self.on_delete: Callable[[str, bytes], None] | None = None
        self._shell = shell
        self._port = port
        self._chance = chance
        self._delay = delay_us
        self._open = False
        self._life = 0
        self._waiting: list[Request] = []

    def open(self, address: bytes) -> None:
        """Answer after the time an operating system takes."""
        self._life += 1
        self._later(_OPEN_TIME, self._opened)

    def _later(self, delay: int, call: Callable[[], None]) -> None:
        world = self._shell.world
        world.at(world.now + delay, self._live, self._life, call, rank=self._port)

    def _live(self, life: int, call: Callable[[], None]) -> None:
        """Make a call of this life of the port; what an earlier one wanted is forgotten."""
        if life == self._life:
            call()

    def _opened(self) -> None:
        self._open = not self.absent
        self._shell.event(self._port, "failed" if self.absent else "opened")

    def write(self, data: bytes) -> None:
        """Take one whole record."""
        self.ask("write", data)

    def ask(self, op: str, data: bytes) -> None:
        """Take one request; it is carried out when its turn comes."""
        if not self._open:
            return
        key, _, payload = data.partition(b"\0")
        self._waiting.append((op, key.decode(), payload))
        if len(self._waiting) == 1:
            self._later(self._delay, self._step)

    def close(self) -> None:
        """Carry out what was taken: closing a file loses nothing."""
        while self._open and self._waiting:
            op, key, payload = self._waiting.pop(0)
            if op not in ("get", "list") and self._fits(op, key, payload):
                self._carry_out(op, key, payload)
        self._forget()

    def _forget(self) -> None:
        self._life += 1
        self._open = False
        self._waiting = []

    def _fits(self, op: str, key: str, payload: bytes) -> bool:
        if self.capacity is None or op == "delete":
            return True
        used = sum(len(record) for record in self.records.values())
        return used + len(payload) <= self.capacity  # a write needs room beside the old record

    def _carry_out(self, op: str, key: str, payload: bytes) -> None:
        self.durable_writes += 1
        if op == "write":
            self.records[key] = payload
        elif op == "append":
            self.records[key] = self.records.get(key, b"") + payload
        else:
            gone = self.records.pop(key, b"")
            if self.on_delete is not None:
                self.on_delete(key, gone)

    def _step(self) -> None:
        """Carry out the oldest request, answer it, and go on."""
        op, key, payload = self._waiting[0]
        answer = b""
        if op == "get":
            found = self.records.get(key)
            answer = key.encode() + (b"" if found is None else b"\0" + found)
        elif op == "list":
            answer = listing(list(self.records))
        elif self._fits(op, key, payload):
            self._carry_out(op, key, payload)
        else:
            self._full(op, key, payload)
            return
        self._waiting.pop(0)
        if self._waiting:
            self._later(self._delay, self._step)
        else:
            self._later(0, self._drained)
        if answer:
            self._shell.deliver(self._port, answer)

    def _drained(self) -> None:
        if not self._waiting:
            self._shell.event(self._port, "drained")

    def _full(self, op: str, key: str, payload: bytes) -> None:
        """Fail as a full disk does: of an append, what had room is there."""
        if op == "append" and self.capacity is not None:
            room = max(0, self.capacity - sum(len(r) for r in self.records.values()))
            self.records[key] = self.records.get(key, b"") + payload[:room]
        self.failures += 1
        self._forget()
        self._shell.event(self._port, "full")
        self._shell.event(self._port, "failed")

    def fail(self) -> None:
        """Fail soon, as a medium does that is pulled; what was asked and not done is lost."""
        self.failures += 1
        self._forget()
        self._later(0, lambda: self._shell.event(self._port, "failed"))

    def cut(self) -> None:
        """Cut the power: what was not durable is lost, the request under way perhaps half done."""
        if self._waiting:
            op, key, payload = self._waiting[0]
            if op == "append":
                part = payload[: self._chance.randrange(len(payload) + 1)]
                if part:
                    self._carry_out(op, key, part)
            elif op in ("write", "delete") and self._chance.random() < 0.5:
                self._carry_out(op, key, payload)
        self._forget()

    def flip(self, key: str, bit: int) -> None:
        """Flip one bit of a record, counted from its start."""
        record = bytearray(self.records[key])
        record[bit // 8 % len(record)] ^= 1 << bit % 8
        self.records[key] = bytes(record)

    def tear(self, key: str, count: int) -> None:
        """Take `count` bytes from the end of a record."""
        record = self.records[key]
        self.records[key] = record[: max(0, len(record) - count)]
