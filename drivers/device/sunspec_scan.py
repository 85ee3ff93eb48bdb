"""Where a model's registers begin: SunSpec's chain of models behind a mark at some address.

Not a bus: it says what to read next, and takes what came. A device of this kind has a mark (the
letters "SunS") at one of a few addresses; behind it stand models one after another, each with its
number, its length in registers, and its registers; 0xFFFF ends the chain ("SunSpec Information
Model Specification", section on device information models).

    scan = Scan(profile.scan)
    while scan.request():
        scan.answer(words of that read, or None if the device has refused it)
    scan.base  the address of the model's number, for `Profile(raw, base=…)`; None if there is none
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Raw = dict[str, Any]

_END = 0xFFFF
_MAX_MODELS = 64
_HEAD_REGISTERS = 2  # number and length


class SunSpecScan:
    """One search; at most `_MAX_MODELS` models at each base are walked past."""

    def __init__(self, raw: "Raw") -> None:
        self.base: int | None = None
        self._function: int = raw.get("function", 3)
        self._mark = tuple(raw["words"])
        self._model: int = raw["model"]
        self._bases: list[int] = list(raw["bases"])
        self._head_address = -1  # of a model's head; below 0 while a mark is looked for
        self._model_count = 0

    def next_request(self) -> "tuple[int, int, int] | None":
        """(function, address, count) to read next; None when the search is over."""
        if self.base is not None or not self._bases:
            return None
        if self._head_address < 0:
            return (self._function, self._bases[0], len(self._mark))
        return (self._function, self._head_address, _HEAD_REGISTERS)

    def take_answer(self, words: "tuple[int, ...] | None") -> None:
        """Take the registers of the last request, None if it was refused or not answered."""
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
