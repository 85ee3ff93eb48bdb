# SPDX-License-Identifier: Apache-2.0
"""Search for the address of a SunSpec model.

Does not send requests: it names the next read and takes the reply. A SunSpec device has the
identifier "SunS" at one of a few base addresses. The models follow, each with its number, its
length in registers (both are its header), and its registers. Number 0xFFFF ends the chain ("SunSpec
Information Model Specification", section on device information models).

    scan = SunSpecScan(profile.scan)
    while scan.next_request():
        scan.take_answer(words of that read, or None if the device rejected it)
    scan.base_address  the address of the model number, for
                       `DeviceProfile(raw, base_address=…)`; None if not found
"""

from drivers.modbus.register_span import ReadBlock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Raw = dict[str, Any]

_END = 0xFFFF
_MAX_MODELS = 64
_HEADER_SIZE = 2  # registers: number and length


class SunSpecScan:
    """One search; it visits at most `_MAX_MODELS` models at each base address."""

    def __init__(self, raw: "Raw") -> None:
        self.base_address: int | None = None
        self._function: int = raw.get("function", 3)
        self._identifier = tuple(raw["words"])
        self._model: int = raw["model"]
        self._bases: list[int] = list(raw["bases"])
        self._model_address = -1  # of a model header; below 0 during the search for the identifier
        self._model_count = 0

    def next_request(self) -> "ReadBlock | None":
        """Return the next read; None at the end of the search."""
        if self.base_address is not None or not self._bases:
            return None
        if self._model_address < 0:
            return ReadBlock(self._function, self._bases[0], len(self._identifier))
        return ReadBlock(self._function, self._model_address, _HEADER_SIZE)

    def take_answer(self, words: "tuple[int, ...] | None") -> None:
        """Process the registers of the last read; None if it was rejected or timed out."""
        if words is None:
            self._next_base()
        elif self._model_address < 0:
            if tuple(words) == self._identifier:
                self._model_address = self._bases[0] + len(self._identifier)
            else:
                self._next_base()
        elif words[0] == self._model:
            self.base_address = self._model_address
        else:
            self._model_address += _HEADER_SIZE + words[1]
            self._model_count += 1
            is_over = self._model_count > _MAX_MODELS or self._model_address + _HEADER_SIZE > 65536
            if words[0] == _END or is_over:
                self._next_base()

    def _next_base(self) -> None:
        self._bases = self._bases[1:]
        self._model_address = -1
        self._model_count = 0
