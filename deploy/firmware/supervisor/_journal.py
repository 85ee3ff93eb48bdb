# SPDX-License-Identifier: Apache-2.0
"""The flash of the files: what a call of LittleFS writes is recorded, and done later in steps.

Frozen into the firmware. One call of LittleFS can erase several sectors, each in 45 ms or more:
for a new block, and to compact a folder. Between two ticks there is time for one. So the store of
the agent records a call and does its steps in gaps, in the same order. A power cut leaves the flash
as one within the call would.

Reads see the recorded steps. A write outside of `record` and `stop` first does those that wait.
Without memory for a step, all are done immediately.
"""

try:
    import _overlay  # type: ignore[import-not-found]  # deploy/firmware/rp2/overlay
except ImportError:  # in the tests
    _overlay = None

PAGE = 256
_ERASE = 6
"""Operation of `ioctl`."""
ERASE_US, PROGRAM_US = 50_000, 4_000
"""Times of steps: a sector (typically 45 ms), a page (0.4 to 3 ms)."""


class FlashJournal:
    """A block device around `flash`, with the steps that wait."""

    def __init__(self, flash: object) -> None:
        self._read = flash.readblocks  # type: ignore[attr-defined]
        self._write = flash.writeblocks  # type: ignore[attr-defined]
        self._control = flash.ioctl  # type: ignore[attr-defined]
        self._steps: list[tuple[int, int, memoryview | None]] = []
        self._is_recording = False
        if _overlay is not None:
            self.readblocks = _overlay.Reader(flash, self._steps)  # type: ignore[method-assign]

    def record(self) -> None:
        """Record the writes from now on."""
        self._is_recording = True

    def stop(self) -> None:
        """Stop recording."""
        self._is_recording = False

    def need(self) -> int:
        """Return the time of the next step in us; 0: none waits."""
        if not self._steps:
            return 0
        return ERASE_US if self._steps[0][2] is None else PROGRAM_US

    def step(self) -> None:
        """Erase a sector, or program a page; nothing if no step waits."""
        if not self._steps:
            return
        number, at, data = self._steps[0]
        if data is None:
            self._control(_ERASE, number)
        elif len(data) <= PAGE:
            self._write(number, data, at)
        else:  # the step stays until all memory for it was there
            rest = (number, at + PAGE, data[PAGE:])
            self._write(number, data[:PAGE], at)
            self._steps[0] = rest
            return
        self._steps.pop(0)

    def flush(self) -> None:
        """Do all steps that wait."""
        while self._steps:
            self.step()

    def readblocks(self, number: int, buffer: bytearray, offset: int = 0) -> None:
        """Read as if all steps were done."""
        self._read(number, buffer, offset)
        end = offset + len(buffer)
        for block, at, data in self._steps:
            if block != number:
                continue
            if data is None:
                buffer[:] = b"\xff" * len(buffer)
                continue
            first, last = max(at, offset), min(at + len(data), end)
            if first < last:
                buffer[first - offset : last - offset] = data[first - at : last - at]

    def writeblocks(self, number: int, buffer: bytearray, offset: int = 0) -> None:
        """Program, or record it."""
        if not self._has_recorded(number, offset, buffer):
            self._write(number, buffer, offset)

    def ioctl(self, operation: int, argument: int) -> object:
        """Erase a sector, or record it; pass other operations on."""
        if operation == _ERASE and self._has_recorded(argument, 0, None):
            return 0
        return self._control(operation, argument)

    def _has_recorded(self, number: int, at: int, data: "bytearray | None") -> bool:
        """Record a step. If it must be done now, do those before it, and return False."""
        if self._is_recording:
            try:
                # A view: its pages need no copies, which would make garbage in front of a tick.
                kept = None if data is None else memoryview(bytes(data))
                self._steps.append((number, at, kept))
                return True
            except MemoryError:
                pass
        self.flush()
        return False
