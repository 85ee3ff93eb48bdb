# SPDX-License-Identifier: Apache-2.0
"""The address of a port, parsed; `drivers.ports.address_text` has the text form and its tables.

Does not open the port and does not check that it exists. `parse_address` reads the text;
`str(address)` returns it in one canonical form without default values. The parser is imported when
it is needed, so that a board can drop it after loading.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Values = tuple[tuple[str, str], ...]
    """Options in canonical order: name, value."""

DATA_BITS = 8
_DEFAULTS = {"baud": "9600", "parity": "N", "stop": "1", "rs485": "0", "edge": "rise"}
_DEFAULTS.update({"units": "247", "before": "0", "after": "0"})
_LISTED = ("ca", "cert", "key", "utc", "tls", "group", "from")
"""Options that `Address.options` lists."""


class Address:
    """One parsed address; created by `parse_address` only.

    `kind` is one of `drivers.ports.address_text.KINDS`. `path` is set for serial, store, pps (a
    path or a pin), chrony and uart (the number). `edge` is the active edge of a pulse, rise or
    fall. `host` and `port` are set for kinds with a host. `baud`, `parity`, `stop`, `data_bits`,
    `rs485` describe a line (defaults for other kinds); for a gateway it is the line behind the
    gateway. `delays_ms` are the times of the RS-485 driver before and after the data.
    `direction_line` is the GPIO line (chip, number) that switches this driver (`de=CHIP:NUMBER`),
    or ("", 0). `max_unit` is the highest Modbus unit of the line (247, or 255 with `units=255`).
    `options` holds:

    - ca, cert, key: paths of files
    - utc: seconds since 1970 for the check of certificate dates; 0: no check of dates
    - tls: 1.2 is the maximum version; sessions are resumed if the platform supports it
    - group: group of the readers of a store or a local folder
    - from: HOST:PORT, the own end of datagrams; by default the port of the peer, on all interfaces

    `bits_per_char` counts start, data, parity and stop bits. `char_us` is the time of one character
    in microseconds, rounded up.
    """

    def __init__(self, kind: str, path: str, host: str, port: int, values: "Values") -> None:
        """Store values that `parse_address` has checked."""
        self.kind = kind
        self.path = path
        self.host = host
        self.port = port
        self._values = values
        self.baud = int(self._value("baud"))
        self.parity = self._value("parity")
        self.stop = int(self._value("stop"))
        self.rs485 = self._value("rs485") == "1"
        self.data_bits = int(self._value("bits") or (7 if kind[:5] == "ascii" else DATA_BITS))
        self.bits_per_char = 1 + self.data_bits + (self.parity != "N") + self.stop
        self.char_us = -(-self.bits_per_char * 1_000_000 // self.baud)

    # Properties, because few kinds need them, and an attribute takes heap of a board.

    @property
    def direction_line(self) -> "tuple[str, int]":
        """GPIO line that switches the driver: chip, number."""
        chip, _, line = self._value("de").rpartition(":")
        return chip, int(line) if line else 0

    @property
    def delays_ms(self) -> "tuple[int, int]":
        """Times of the RS-485 driver before and after the data."""
        return int(self._value("before")), int(self._value("after"))

    @property
    def max_unit(self) -> int:
        """Highest Modbus unit of the line."""
        return 255 if self.kind in ("tcp", "tls") else int(self._value("units"))

    @property
    def edge(self) -> str:
        """Active edge of a pulse, rise or fall."""
        return self._value("edge")

    @property
    def options(self) -> "dict[str, str]":
        """Options of files, TLS, groups and datagrams."""
        return {name: value for name, value in self._values if name in _LISTED}

    def _value(self, name: str) -> str:
        """Return the text of an option, its default, or ""."""
        for given, value in self._values:
            if given == name:
                return value
        return _DEFAULTS.get(name, "")

    def with_options(self, text: str) -> "Address":
        """Return this address with the options of `text` (`baud=19200&parity=E`) replaced.

        Raises AddressError as `parse_address`.
        """
        from drivers.ports.address_text import parse_options  # noqa: PLC0415 - a board drops it

        values = parse_options(self.kind, text, dict(self._values))
        return Address(self.kind, self.path, self.host, self.port, values)

    def location(self) -> str:
        """Return the address without its options, as used in messages."""
        if self.host:
            host = "[%s]" % self.host if ":" in self.host else self.host
            return "%s:%s:%d" % (self.kind, host, self.port)
        return "%s:%s" % (self.kind, self.path)

    def __str__(self) -> str:
        """Return the canonical text; `parse_address` converts it back to an equal address."""
        parts = [
            "%s=%s" % (name, value) for name, value in self._values if value != _DEFAULTS.get(name)
        ]
        return self.location() + ("?" + "&".join(parts) if parts else "")

    def __eq__(self, other: object) -> bool:
        """Return True if both have the same canonical text."""
        return isinstance(other, Address) and str(self) == str(other)

    def __hash__(self) -> int:
        """Consistent with `__eq__`."""
        return hash(str(self))


def modbus_framing(kind: str) -> str:
    """Return the framing of a Modbus bus on a port of this kind: rtu, ascii or tcp."""
    if kind in ("tcp", "tls"):
        return "tcp"
    return "ascii" if kind[:5] == "ascii" else "rtu"


def parse_address(text: str) -> Address:
    """Parse an address, such as `serial:/dev/ttyUSB0?baud=19200&parity=E`.

    Raises AddressError with the text, the wrong part and the allowed values.
    """
    from drivers.ports.address_text import parse_text  # noqa: PLC0415 - a board drops it

    kind, path, host, port, values = parse_text(text)
    return Address(kind, path, host, port, values)


def local_end(address: Address) -> "tuple[str, int]":
    """Return host and port of the own end of datagrams; the host is empty for all interfaces."""
    from drivers.ports.address_text import parse_host_port  # noqa: PLC0415 - a board drops it

    text = address.options.get("from")
    return ("", address.port) if text is None else parse_host_port(text)
