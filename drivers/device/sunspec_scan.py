# SPDX-License-Identifier: Apache-2.0
"""Search for the address of a SunSpec model.

Does not send requests: it names the next read and takes the reply. A SunSpec device has a mark (the
letters "SunS") at one of a few base addresses. After the mark come the models, each with its
number, its length in registers, and its registers. Number 0xFFFF ends the chain ("SunSpec
Information Model Specification", section on device information models).

    scan = SunSpecScan(profile.scan)
    while scan.next_request():
        scan.take_answer(words of that read, or None if the device rejected it)
    scan.base  the address of the model number, for `DeviceProfile(raw, base=…)`; None if not found
"""

from drivers.modbus.register_span import ReadBlock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Raw = dict[str, Any]

_END = 0xFFFF
_MAX_MODELS = 64
_HEAD_REGISTERS = 2  # number and length


class SunSpecScan:
    """One search; it visits at most `_MAX_MODELS` models at each base address."""

    def __init__(self, raw: "Raw") -> None:
        self.base: int | None = None
        self._function: int = raw.get("function", 3)
        self._mark = tuple(raw["words"])
        self._model: int = raw["model"]
        self._bases: list[int] = list(raw["bases"])
        self._head_address = -1  # of a model head; below 0 during the search for the mark
        self._model_count = 0

    def next_request(self) -> "ReadBlock | None":
        """Return the next read; None at the end of the search."""
        if self.base is not None or not self._bases:
            return None
        if self._head_address < 0:
            return ReadBlock(self._function, self._bases[0], len(self._mark))
        return ReadBlock(self._function, self._head_address, _HEAD_REGISTERS)

    def take_answer(self, words: "tuple[int, ...] | None") -> None:
        """Process the registers of the last read; None if it was rejected or timed out."""
        if words is None:
            self._next_base()
        elif self._head_address < 0:
            if tuple(words) == self._mark:
                self._head_address = self._bases[0] + len(self._mark)
            else:
                self._next_base()
        elif words[0] == self._model:
            self.base = self._head_address
        else:
            self._head_address += _HEAD_REGISTERS + words[1]
            self._model_count += 1
            is_over = (
                self._model_count > _MAX_MODELS or self._head_address + _HEAD_REGISTERS > 65536
            )
            if words[0] == _END or is_over:
                self._next_base()

    def _next_base(self) -> None:
        self._bases = self._bases[1:]
        self._head_address = -1
        self._model_count = 0
