# SPDX-License-Identifier: Apache-2.0
"""The endpoint of a store in virtual time: flash with a write time and power cuts.

Does not use files. It executes one request after another, each `delay_us` after the one before. A
write is durable only after its execution. `cut_power` is a power cut: waiting requests are lost.
The present request can be half done, as on real flash: an append leaves any part of its bytes, a
write or a delete is done or not done. Faults: `set_capacity` (a full disk fails the port),
`flip_bit`, `truncate_record` (the end of a record is lost), `absent` (the folder does not exist).
"""

import random
from collections.abc import Callable

from drivers.ports.store_request import format_listing
from hil.shells.virtual import VirtualShell

_OPEN_DELAY_US = 1_000
DELAY_US = 2_000
"""Time of one request, µs, as measured for an append with fsync on MicroPython's unix port."""

Request = tuple[str, str, bytes]


class StoreEndpoint:
    """Records by key, behind port number `port`; they survive the controller."""

    def __init__(
        self, shell: VirtualShell, port: int, rng: random.Random, delay_us: int = DELAY_US
    ) -> None:
        self.records: dict[str, bytes] = {}
        self.capacity: int | None = None
        self.absent = False
        self.failures = 0
        self.first_full_at_us: int | None = None
        self.executed_changes = 0
        self._delete_observers: list[Callable[[str, bytes], None]] = []
        self._accepts_request: Callable[[str, bytes], bool] | None = None
        self._shell = shell
        self._port = port
        self._rng = rng
        self._delay_us = delay_us
        self._open = False
        self._generation = 0
        self._requests: list[Request] = []

    def set_capacity(self, size: int | None) -> None:
        """Limit the store to `size` bytes (0: full); None for no limit."""
        self.capacity = size

    def observe_deletes(self, observer: Callable[[str, bytes], None]) -> None:
        """Call `observer` with key and content of each deleted record."""
        self._delete_observers.append(observer)

    def filter_requests(self, accepts: Callable[[str, bytes], bool]) -> None:
        """Call `accepts` with operation and data of each request; False discards the request."""
        self._accepts_request = accepts

    def open(self, address: bytes) -> None:
        """Open the port after `_OPEN_DELAY_US`."""
        self._generation += 1
        self._schedule(_OPEN_DELAY_US, self._on_opened)

    def _schedule(self, delay: int, call: Callable[[], None]) -> None:
        world = self._shell.world
        world.schedule(
            world.now + delay, self._call_if_current, self._generation, call, rank=self._port
        )

    def _call_if_current(self, generation: int, call: Callable[[], None]) -> None:
        """Make the call if the port was not reopened or reset since it was scheduled."""
        if generation == self._generation:
            call()

    def _on_opened(self) -> None:
        self._open = not self.absent
        self._shell.event(self._port, "failed" if self.absent else "opened")

    def write(self, data: bytes) -> None:
        """Queue the write of one whole record."""
        self.request("write", data)

    def request(self, operation: str, data: bytes) -> None:
        """Queue one request."""
        if self._accepts_request is not None and not self._accepts_request(operation, data):
            return
        if not self._open:
            return
        key, _, payload = data.partition(b"\0")
        self._requests.append((operation, key.decode(), payload))
        if len(self._requests) == 1:
            self._schedule(self._delay_us, self._execute_next)

    def close(self) -> None:
        """Execute the queued writes: closing a file loses nothing."""
        while self._open and self._requests:
            operation, key, payload = self._requests.pop(0)
            if operation not in ("get", "list") and self._fits(operation, key, payload):
                self._execute(operation, key, payload)
        self._discard_requests()

    def _discard_requests(self) -> None:
        self._generation += 1
        self._open = False
        self._requests = []

    def _fits(self, operation: str, key: str, payload: bytes) -> bool:
        if self.capacity is None or operation == "delete":
            return True
        used = sum(len(record) for record in self.records.values())
        return used + len(payload) <= self.capacity  # a write needs space next to the old record

    def _execute(self, operation: str, key: str, payload: bytes) -> None:
        self.executed_changes += 1
        if operation == "write":
            self.records[key] = payload
        elif operation == "append":
            self.records[key] = self.records.get(key, b"") + payload
        else:
            deleted = self.records.pop(key, b"")
            for observer in self._delete_observers:
                observer(key, deleted)

    def _execute_next(self) -> None:
        """Execute the oldest request, reply, and continue."""
        operation, key, payload = self._requests[0]
        reply = b""
        if operation == "get":
            found = self.records.get(key)
            reply = key.encode() + (b"" if found is None else b"\0" + found)
        elif operation == "list":
            reply = format_listing(list(self.records))
        elif self._fits(operation, key, payload):
            self._execute(operation, key, payload)
        else:
            self._fail_full(operation, key, payload)
            return
        self._requests.pop(0)
        if self._requests:
            self._schedule(self._delay_us, self._execute_next)
        else:
            self._schedule(0, self._on_drained)
        if reply:
            self._shell.deliver(self._port, reply)

    def _on_drained(self) -> None:
        if not self._requests:
            self._shell.event(self._port, "drained")

    def _fail_full(self, operation: str, key: str, payload: bytes) -> None:
        """Fail like a full disk: an append leaves the part that fits."""
        if operation == "append" and self.capacity is not None:
            free_bytes = max(
                0, self.capacity - sum(len(record) for record in self.records.values())
            )
            self.records[key] = self.records.get(key, b"") + payload[:free_bytes]
        self.failures += 1
        self.first_full_at_us = (
            self._shell.world.now if self.first_full_at_us is None else self.first_full_at_us
        )
        self._discard_requests()
        self._shell.event(self._port, "full")
        self._shell.event(self._port, "failed")

    def fail(self) -> None:
        """Fail soon, like a removed medium; queued requests are lost."""
        self.failures += 1
        self._discard_requests()
        self._schedule(0, lambda: self._shell.event(self._port, "failed"))

    def set_absent(self, is_absent: bool) -> None:
        """Remove the medium, or put it back: it fails, and cannot be opened until then."""
        self.absent = is_absent
        if is_absent:
            self.fail()

    def cut_power(self) -> None:
        """Cut the power: queued requests are lost, the present request can be half done."""
        if self._requests:
            operation, key, payload = self._requests[0]
            if operation == "append":
                part = payload[: self._rng.randrange(len(payload) + 1)]
                if part:
                    self._execute(operation, key, part)
            elif operation in ("write", "delete") and self._rng.random() < 0.5:
                self._execute(operation, key, payload)
        self._discard_requests()

    def flip_bit(self, key: str, bit: int) -> None:
        """Flip bit `bit` of a record, counted from its start."""
        record = bytearray(self.records[key])
        record[bit // 8 % len(record)] ^= 1 << bit % 8
        self.records[key] = bytes(record)

    def truncate_record(self, key: str, count: int) -> None:
        """Remove `count` bytes from the end of a record."""
        record = self.records[key]
        self.records[key] = record[: max(0, len(record) - count)]
