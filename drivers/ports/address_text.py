# SPDX-License-Identifier: Apache-2.0
"""The text form of the address of a port, for all kinds of port on all platforms.

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

Does not open a port; `drivers.ports.address` has the parsed address. The tables below list the
options of each kind and the values of each option.
"""

from drivers.errors import AddressError

TYPE_CHECKING = False
if TYPE_CHECKING:
    Values = tuple[tuple[str, str], ...]
    Parts = tuple[str, str, str, int, Values]
    """Kind, path, host, port and the options in canonical order."""

MAX_TEXT = 512  # characters: longer than any real path or host name

# The rates of both Linux termios and common UART chips.
BAUDS = (
    (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
    + (230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000)
    + (2500000, 3000000, 3500000, 4000000)
)
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


def parse_text(text: str) -> "Parts":
    """Parse an address; see `drivers.ports.address.parse_address`."""
    try:
        return _parse(text)
    except AddressError as error:
        raise AddressError("address %r: %s" % (text[:MAX_TEXT], error))


def _parse(text: str) -> "Parts":
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
    values = parse_options(kind, query, {})
    if kind in _HOSTS:
        host, port = parse_host_port(location)
        return kind, "", host, port, values
    return kind, _check_path(kind, location), "", 0, values


def parse_options(kind: str, query: str, base: "dict[str, str]") -> "Values":
    """Return the options of `query` (`name=value&name=value`) over those of `base`.

    Raises AddressError as `parse_text`.
    """
    base.update(_parse_options(kind, query))
    _check_together(base)
    return tuple([(name, base[name]) for name in OPTIONS[kind] if name in base])


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
            parse_host_port(value)
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


def parse_host_port(location: str) -> "tuple[str, int]":
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
