# SPDX-License-Identifier: Apache-2.0
"""The address of a port: one text form for all kinds of port on all platforms.

    serial:/dev/ttyUSB0?baud=19200&parity=E&stop=1&rs485=1     a tty
    uart:1?baud=9600&rs485=1                                   a UART of a board, by number
    tcp:broker.example:1883     tcp:[::1]:502                  a host and a port
    rtu+tcp:HOST:PORT?baud=19200    rtu+udp:HOST:PORT          Modbus RTU through a gateway
    ascii:/dev/ttyUSB0?baud=9600    ascii+tcp:HOST:PORT        Modbus ASCII on a tty, by a gateway
    tls:broker.example:8883?ca=/etc/coldloop/ca.pem&cert=...&key=...&utc=1795500000
    store:/var/lib/coldloop                                    a folder of small files
    pps:/dev/pps0     pps:15?edge=fall                         pulses: a device, a pin of a board
    chrony:/run/chrony.coldloop.sock                           chronyd's socket for time samples
    ntp:10.0.0.1:123                                           an NTP server (UDP)
    udp:10.0.0.2:5246?from=10.0.0.1:5246                       signed datagrams to one host
    watchdog:/dev/watchdog   watchdog:systemd   watchdog:board a watchdog
    local:/run/coldloop?group=coldloop-northbound              records for other processes here

Does not open the port and does not check that it exists. `parse_address` reads the text;
`str(address)` returns it in one canonical form without default values. The tables below list the
options of each kind and the values of each option.
"""

from drivers.errors import AddressError

MAX_TEXT = 512  # characters: longer than any real path or host name

# The rates of both Linux termios and common UART chips.
BAUDS = (
    (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
    + (230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000)
    + (2500000, 3000000, 3500000, 4000000)
)
DATA_BITS = 8
_MAX_PORT = 65535
_MAX_UART = 99

# option -> its values; empty: a file path, which the port checks
_VALUES = {
    "baud": [str(baud) for baud in BAUDS],
    "parity": ["N", "E", "O"],
    "stop": ["1", "2"],
    "bits": ["7", "8"],
    "units": ["247", "255"],
    "rs485": ["0", "1"],
    "de": [],
    "before": [],
    "after": [],
    "edge": ["rise", "fall"],
    "ca": [],
    "cert": [],
    "key": [],
    "utc": [],
    "tls": ["1.2"],
    "group": [],
    "from": [],
}
_DEFAULTS = {"baud": "9600", "parity": "N", "stop": "1", "rs485": "0", "edge": "rise"}
_DEFAULTS.update({"units": "247", "before": "0", "after": "0"})
_LINE = ("baud", "parity", "stop")
_MAX_DELAY_MS = 100
_MAX_GPIO = 9999
_TLS = ("ca", "cert", "key", "utc", "tls")
_MAX_UTC = 99_999_999_999
# kind -> its options, in canonical order
OPTIONS: "dict[str, tuple[str, ...]]" = {
    "serial": _LINE + ("rs485", "de", "before", "after", "units"),
    "uart": _LINE + ("rs485",),
    "tcp": (),
    "rtu+tcp": _LINE + ("units",),
    "rtu+udp": _LINE + ("units",),
    "ascii": _LINE + ("bits", "rs485", "de", "before", "after", "units"),
    "ascii+tcp": _LINE + ("bits", "units"),
    "tls": _TLS,
    "store": ("group",),
    "pps": ("edge",),
    "chrony": (),
    "ntp": (),
    "udp": ("from",),
    "watchdog": (),
    "local": ("group",),
}
KINDS = (
    "serial",
    "uart",
    "tcp",
    "rtu+tcp",
    "rtu+udp",
    "ascii",
    "ascii+tcp",
    "tls",
    "store",
    "pps",
    "chrony",
    "ntp",
    "udp",
    "watchdog",
    "local",
)
LINE_KINDS = ("serial", "uart", "ascii")
"""Kinds of a line of this machine; a line belongs to one port only."""
_HOSTS = ("tcp", "tls", "rtu+tcp", "rtu+udp", "ascii+tcp", "ntp", "udp")


class Address:
    """One parsed address; created by `parse_address` only.

    `kind` is one of KINDS. `path` is set for serial, store, pps (a path or a pin), chrony and uart
    (the number). `edge` is the active edge of a pulse, rise or fall. `host` and `port` are set for
    kinds with a host. `baud`, `parity`, `stop`, `data_bits`, `rs485` describe a line (defaults for
    other kinds); for a gateway it is the line behind the gateway. `delays_ms` are the times of the
    RS-485 driver before and after the data. `direction_line` is the GPIO line (chip, number) that
    switches this driver (`de=CHIP:NUMBER`), or ("", 0). `max_unit` is the highest Modbus unit of
    the line (247, or 255 with `units=255`). `options` holds:

    - ca, cert, key: paths of files
    - utc: seconds since 1970 for the check of certificate dates; 0: no check of dates
    - tls: 1.2 is the maximum version; sessions are resumed if the platform supports it
    - group: group of the readers of a store or a local folder
    - from: HOST:PORT, the own end of datagrams; by default the port of the peer, on all interfaces

    `bits_per_char` counts start, data, parity and stop bits. `char_us` is the time of one character
    in microseconds, rounded up.
    """

    def __init__(
        self, kind: str, path: str, host: str, port: int, values: "dict[str, str]"
    ) -> None:
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
        self.data_bits = int(values.get("bits", "7" if kind[:5] == "ascii" else DATA_BITS))
        chip, _, line = values.get("de", "").rpartition(":")
        self.direction_line = (chip, int(line) if line else 0)
        self.delays_ms = (int(self._value("before")), int(self._value("after")))
        self.max_unit = 255 if kind in ("tcp", "tls") else int(self._value("units"))
        self.edge = self._value("edge")
        self.options = {name: values[name] for name in _TLS + ("group", "from") if name in values}
        self.bits_per_char = 1 + self.data_bits + (self.parity != "N") + self.stop
        self.char_us = -(-self.bits_per_char * 1_000_000 // self.baud)

    def _value(self, name: str) -> str:
        """Return the text of an option, or its default."""
        return self._values.get(name, _DEFAULTS[name])

    def with_options(self, text: str) -> "Address":
        """Return this address with the options of `text` (`baud=19200&parity=E`) replaced.

        Raises AddressError as `parse_address`.
        """
        values = dict(self._values)
        values.update(_parse_options(self.kind, text))
        _check_together(values)
        return Address(self.kind, self.path, self.host, self.port, values)

    def location(self) -> str:
        """Return the address without its options, as used in messages."""
        if self.kind in _HOSTS:
            host = "[%s]" % self.host if ":" in self.host else self.host
            return "%s:%s:%d" % (self.kind, host, self.port)
        return "%s:%s" % (self.kind, self.path)

    def __str__(self) -> str:
        """Return the canonical text; `parse_address` converts it back to an equal address."""
        parts = []
        for name in OPTIONS[self.kind]:
            value = self._values.get(name)
            if value is not None and value != _DEFAULTS.get(name):
                parts.append("%s=%s" % (name, value))
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
    try:
        return _parse(text)
    except AddressError as error:
        raise AddressError("address %r: %s" % (text[:MAX_TEXT], error))


def _parse(text: str) -> Address:
    """Parse an address; the error has only the wrong part."""
    if len(text) > MAX_TEXT:
        raise AddressError("longer than %d characters" % MAX_TEXT)
    for char in text:
        if char <= " " or char == "\x7f":
            raise AddressError("holds a blank or a control character")
    kind, colon, rest = text.partition(":")
    if not colon or kind not in KINDS:
        raise AddressError("begins with none of %s" % ", ".join([kind + ":" for kind in KINDS]))
    location, _, query = rest.partition("?")
    values = _parse_options(kind, query)
    _check_together(values)
    if kind in _HOSTS:
        host, port = _parse_host_port(location)
        return Address(kind, "", host, port, values)
    return Address(kind, _check_path(kind, location), "", 0, values)


def _parse_options(kind: str, query: str) -> "dict[str, str]":
    """Parse `name=value&name=value` by the tables of the kind."""
    known = OPTIONS[kind]
    values: dict[str, str] = {}
    for item in query.split("&") if query else []:
        name, equals, value = item.partition("=")
        if name not in known:
            option_names = ", ".join(known) or "no options"
            raise AddressError("unknown option %r (%s takes %s)" % (name, kind, option_names))
        if not equals or not value:
            raise AddressError("option %r has no value" % name)
        if name in values:
            raise AddressError("option %r is given twice" % name)
        allowed = _VALUES[name]
        if allowed and value not in allowed:
            raise AddressError("%s is %r, not one of %s" % (name, value, ", ".join(allowed)))
        if name == "utc":
            _parse_number("utc", value, 0, _MAX_UTC)
        if name == "de":
            chip, _, line = value.rpartition(":")
            if not chip:
                raise AddressError("de %r is not CHIP:NUMBER, such as /dev/gpiochip0:17" % value)
            _parse_number("GPIO line", line, 0, _MAX_GPIO)
        if name == "from":
            _parse_host_port(value)
        if name in ("before", "after"):
            _parse_number(name, value, 0, _MAX_DELAY_MS)
        values[name] = value
    return values


def _check_together(values: "dict[str, str]") -> None:
    """Reject options that need another one: a certificate its key, a delay the RS-485 mode."""
    for name in ("before", "after"):
        if name in values and values.get("rs485") != "1" and "de" not in values:
            raise AddressError("%s needs rs485=1 or de" % name)
    if values.get("rs485") == "1" and "de" in values:
        raise AddressError("rs485=1 and de exclude each other: one of them switches the driver")
    if ("cert" in values) != ("key" in values):
        raise AddressError("cert and key go together; only one is given")


def _check_path(kind: str, path: str) -> str:
    """Return the path of a serial port or store, or the number of a UART."""
    if kind == "uart":
        return str(_parse_number("UART", path, 0, _MAX_UART))
    if not path:
        raise AddressError("no path after %s:" % kind)
    return path


def _parse_host_port(location: str) -> "tuple[str, int]":
    """Split `host:port`; an IPv6 host has brackets."""
    host, colon, port = location.rpartition(":")
    if not colon or not host:
        raise AddressError("is not HOST:PORT")
    if host[0] == "[" and host[-1] == "]":
        host = host[1:-1]
    elif ":" in host:
        raise AddressError("host %r holds a colon; write an IPv6 address in brackets" % host)
    if not host or "/" in host:
        raise AddressError("host %r is not a name or an IP address" % host)
    return host, _parse_number("port", port, 1, _MAX_PORT)


def _parse_number(name: str, text: str, low: int, high: int) -> int:
    """Parse a decimal number without sign, blanks or digits of other scripts."""
    digits = text.lstrip("0123456789") == "" and 0 < len(text) <= len(str(high))
    if not digits or not low <= int(text) <= high:
        raise AddressError("%s %r is not a number from %d to %d" % (name, text, low, high))
    return int(text)


def local_end(address: Address) -> "tuple[str, int]":
    """Return host and port of the own end of datagrams; the host is empty for all interfaces."""
    text = address.options.get("from")
    return ("", address.port) if text is None else _parse_host_port(text)
