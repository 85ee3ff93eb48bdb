# SPDX-License-Identifier: Apache-2.0
"""The write of `modbus write` by address: functions 5, 6, 15, 16, 22 and 23, and its readings.

Does not ask and does not report; see `drivers.tools.modbus_write`.
"""

import argparse

from drivers.tools.lib.arguments import UsageError, bounded
from drivers.tools.lib.modbus_client import read_values
from drivers.tools.lib.values import register_values
from protocols.modbus import pdu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.modbus.bus import TransactionResult
    from drivers.tools.lib.modbus_client import BlockingModbusClient

_COIL_FUNCTIONS = (pdu.WRITE_COIL, pdu.WRITE_COILS)
_SWITCH_VALUES = {"1": True, "on": True, "0": False, "off": False}


class WritePlan:
    """The write of one value: its requests, and its readings before and after."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.requested: Any = None
        self.read_fault: TransactionResult | None = None

    def build_requests(self) -> "list[bytes]":
        """Return the PDUs to send, in order."""
        raise NotImplementedError

    def read_current(self) -> "Any":
        """Read and return the present value; None if it cannot be read."""
        raise NotImplementedError

    def is_verified(self, reading: "Any") -> "bool | None":
        """Return whether `reading` is the requested value; None if this is unknown."""
        return None if reading is None else bool(reading == self.requested)

    def format_requested(self) -> str:
        """Return what is written as text."""
        return self.format_value(self.requested)

    def format_value(self, value: "Any") -> str:
        """Return a value as text."""
        return "unreadable" if value is None else register_values.format_value(value)


class AddressWrite(WritePlan):
    """The write of registers or coils by address.

    A VALUE with commas is a list, for functions 15, 16 and 23. For function 22 it is
    AND_MASK:OR_MASK. Only the bits that the AND mask clears are written, so only these are
    compared: the others can change meanwhile.
    """

    def __init__(self, arguments: argparse.Namespace, client: "BlockingModbusClient") -> None:
        parse = bounded("ADDRESS", 0, 65535)
        try:
            self._address = parse(arguments.address)
        except argparse.ArgumentTypeError as error:
            raise UsageError("%s; a name also needs --profile" % error)
        super().__init__("address %d" % self._address)
        self._client = client
        self._unit: int = arguments.unit
        self._kind: str = arguments.type
        self._order = register_values.check_order(arguments.order, self._kind)
        self._function: int = arguments.function or 0
        self._coil = self._function in _COIL_FUNCTIONS
        self._words = parse_words(arguments)
        self._is_mask = self._function == pdu.MASK_WRITE
        is_plain = self._coil or self._is_mask
        values = self._words if is_plain else self._decode(self._words)
        self.requested = values[0] if len(values) == 1 else list(values)
        if self._is_mask:
            and_mask, or_mask = self._words
            self._written_bits = ~and_mask & 0xFFFF
            self.requested = or_mask & self._written_bits

    def build_requests(self) -> "list[bytes]":
        """Return the request."""
        address, words, function = self._address, self._words, self._function
        if function == pdu.WRITE_COIL:
            return [pdu.write_coil(address, words[0])]
        if function == pdu.WRITE_COILS:
            return [pdu.write_coils(address, words)]
        if function == pdu.MASK_WRITE:
            return [pdu.mask_write(address, words[0], words[1])]
        if function == pdu.READ_WRITE:
            return [pdu.read_write(address, len(words), address, words)]
        if function != pdu.WRITE_MULTIPLE and len(words) == 1:
            return [pdu.write_single(address, words[0])]
        return [pdu.write_multiple(address, words)]

    def _decode(self, words: "list[int]") -> "list[Any]":
        return list(register_values.decode_values(self._kind, self._order, words))

    def read_current(self) -> "Any":
        """Read the same registers or the coil."""
        function = pdu.READ_COILS if self._coil else pdu.READ_HOLDING
        size = 1 if self._is_mask else len(self._words)
        words, failed_result = read_values(self._client, self._unit, function, self._address, size)
        self.read_fault = failed_result
        if failed_result is not None:
            return None
        values = words if self._coil or self._is_mask else self._decode(words)
        return values[0] if len(values) == 1 else list(values)

    def is_verified(self, reading: "Any") -> "bool | None":
        """As in `WritePlan`; of a mask only the written bits."""
        if self._is_mask and reading is not None:
            return bool(reading & self._written_bits == self.requested)
        return super().is_verified(reading)

    def format_requested(self) -> str:
        """As in `WritePlan`; of a mask the written bits and their values."""
        if self._is_mask:
            return "bits 0x%04X = 0x%04X" % (self._written_bits, self.requested)
        return super().format_requested()

    def format_value(self, value: "Any") -> str:
        """Return a value or a list of values as text."""
        if self._is_mask and value is not None:
            return "0x%04X" % value
        if isinstance(value, list):
            return ", ".join(register_values.format_value(part) for part in value)
        return super().format_value(value)


def parse_words(arguments: argparse.Namespace) -> "list[int]":
    """Return the registers or coils of VALUE. Raises `UsageError`."""
    text, function = arguments.value, arguments.function
    if function == pdu.MASK_WRITE:
        masks = text.split(":")
        if len(masks) != 2:
            raise UsageError("value %r: function 22 needs AND_MASK:OR_MASK" % text)
        return [register_values.encode_value("u16", "", mask)[0] for mask in masks]
    if function in _COIL_FUNCTIONS:
        coils = [int(parse_switch(part)) for part in text.split(",")]
        _check_count(len(coils), pdu.MAX_WRITE_BITS)
        if function == pdu.WRITE_COIL and len(coils) > 1:
            raise UsageError("--function 5 writes one coil; 15 writes several")
        return coils
    order = register_values.check_order(arguments.order, arguments.type)
    words: list[int] = []
    for part in text.split(","):
        words.extend(register_values.encode_value(arguments.type, order, part.strip()))
    if function == pdu.WRITE_SINGLE and len(words) > 1:
        raise UsageError("--function 6 writes one register, the value has %d" % len(words))
    _check_count(len(words), pdu.MAX_READ_WRITE if function == pdu.READ_WRITE else pdu.MAX_WRITE)
    return words


def _check_count(count: int, most: int) -> None:
    """Check before the first request that one write takes so many values. Raises `UsageError`."""
    if count > most:
        raise UsageError("count %d is not 1 to %d: one request writes no more" % (count, most))


def parse_switch(text: str) -> bool:
    """Return the state in a text: on, off, 1 or 0. Raises `UsageError`."""
    if text.lower() not in _SWITCH_VALUES:
        raise UsageError("value %r is not on, off, 1 or 0" % text)
    return _SWITCH_VALUES[text.lower()]
