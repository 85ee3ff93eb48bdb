"""Addresses: what is read, what is refused and why, and the way back to text."""

from drivers.errors import AddressError
from drivers.ports.address import BAUDS, MAX_TEXT, parse
from tests.portable.support.check import eq, raises


def refused(text: str, *parts: str) -> None:
    """Check that `text` is refused with a message that holds every part."""
    message = str(raises(AddressError, parse, text))
    for part in parts:
        assert part in message, "%r lacks %r" % (message, part)


def test_serial_with_everything():
    address = parse("serial:/dev/ttyUSB0?baud=19200&parity=E&stop=2&rs485=1")
    eq((address.kind, address.path), ("serial", "/dev/ttyUSB0"))
    eq((address.baud, address.parity, address.stop, address.rs485), (19200, "E", 2, True))
    eq(address.bits_per_char, 12)
    eq(address.char_us, 625)


def test_defaults():
    address = parse("serial:/dev/ttyS0")
    eq((address.baud, address.parity, address.stop, address.rs485), (9600, "N", 1, False))
    eq(address.bits_per_char, 10)


def test_character_time_is_rounded_up():
    eq(parse("serial:x?baud=9600").char_us, 1042)  # 1041.67
    eq(parse("serial:x?baud=19200&parity=O").char_us, 573)  # 572.9
    eq(parse("serial:x?baud=4000000").char_us, 3)  # 2.5


def test_tcp():
    address = parse("tcp:broker.example:1883")
    eq((address.kind, address.host, address.port), ("tcp", "broker.example", 1883))
    eq(parse("tcp:[fe80::1]:502").host, "fe80::1")
    eq(str(parse("tcp:[fe80::1]:502")), "tcp:[fe80::1]:502")


def test_tls_options_are_paths():
    address = parse("tls:broker:8883?ca=/etc/ca.pem&cert=/etc/c.pem&key=/etc/c.key")
    eq(address.options.get("ca"), "/etc/ca.pem")
    eq(address.options.get("cert"), "/etc/c.pem")
    eq(address.options.get("key"), "/etc/c.key")
    eq(len(parse("tls:broker:8883").options), 0)


def test_store_and_uart():
    eq(parse("store:/var/lib/coldloop").path, "/var/lib/coldloop")
    eq((parse("uart:1?baud=115200").path, parse("uart:1?baud=115200").baud), ("1", 115200))


def test_text_is_canonical():
    eq(str(parse("serial:/dev/x?stop=1&parity=E&baud=9600")), "serial:/dev/x?parity=E")
    eq(str(parse("uart:07?baud=9600")), "uart:7")
    eq(parse("serial:/dev/x?baud=9600"), parse("serial:/dev/x"))
    eq(hash(parse("serial:/dev/x?baud=9600")), hash(parse("serial:/dev/x")))
    assert parse("serial:/dev/x") != parse("serial:/dev/y")
    assert parse("serial:/dev/x") != "serial:/dev/x"


def test_round_trip():
    for text in (
        "serial:/dev/ttyUSB0",
        "serial:/dev/ttyUSB0?baud=19200&parity=E&stop=2&rs485=1",
        "uart:3?baud=38400&parity=O",
        "tcp:10.0.0.1:502",
        "tls:h:65535?ca=/a&cert=/b&key=/c",
        "store:/run/coldloop",
    ):
        eq(str(parse(text)), text)
        eq(parse(str(parse(text))), parse(text))


def test_every_baud():
    for baud in BAUDS:
        eq(parse("serial:x?baud=%d" % baud).baud, baud)


def test_place_has_no_options():
    eq(parse("tls:h:1?ca=/secret/ca.pem").place(), "tls:h:1")
    eq(parse("serial:/dev/x?baud=300").place(), "serial:/dev/x")


def test_changed():
    address = parse("serial:/dev/x?baud=19200&parity=E")
    eq(str(address.changed("baud=300")), "serial:/dev/x?baud=300&parity=E")
    eq(str(address), "serial:/dev/x?baud=19200&parity=E")
    raises(AddressError, address.changed, "baud=1")
    raises(AddressError, address.changed, "ca=/x")


def test_unknown_kind():
    refused("ttyUSB0", "'ttyUSB0'", "serial:, uart:, tcp:, tls:, store:")
    refused("udp:a:1", "begins with none of")
    refused("", "begins with none of")


def test_bad_values_name_what_is_allowed():
    refused("serial:x?baud=9601", "baud is '9601', not one of 300, 600,")
    refused("serial:x?baud=+9600", "baud is")
    refused("serial:x?parity=e", "parity is 'e', not one of N, E, O")
    refused("serial:x?stop=3", "stop is '3', not one of 1, 2")
    refused("serial:x?rs485=yes", "rs485 is 'yes', not one of 0, 1")


def test_bad_options():
    refused("serial:x?speed=1", "unknown option 'speed' (serial takes baud, parity, stop, rs485)")
    refused("tcp:a:1?ca=/x", "unknown option 'ca' (tcp takes no options)")
    refused("uart:1?rs485=1", "unknown option 'rs485'")
    refused("serial:x?baud", "option 'baud' has no value")
    refused("serial:x?baud=", "option 'baud' has no value")
    refused("serial:x?baud=300&baud=600", "given twice")
    refused("serial:x?&", "unknown option ''")
    refused("tls:a:1?tls=1.3", "tls is '1.3', not one of 1.2")
    refused("tls:a:1?cert=/x", "cert and key go together")
    refused("tls:a:1?key=/x", "cert and key go together")


def test_bad_hosts_and_ports():
    refused("tcp:a", "not HOST:PORT")
    refused("tcp::1", "not HOST:PORT")
    refused("tcp:[]:1", "host")
    refused("tcp:fe80::1:502", "brackets")
    refused("tcp:a/b:1", "host 'a/b'")
    for port in ("0", "65536", "-1", "1.5", "", "0x10", "999999999999999999999", "\u0661"):
        refused("tcp:a:" + port, "is not a number from 1 to 65535")


def test_bad_paths():
    refused("serial:", "no path after serial:")
    refused("store:?x", "unknown option")
    refused("uart:one", "UART 'one' is not a number from 0 to 99")
    refused("uart:100", "0 to 99")


def test_strange_text():
    refused("serial:/dev/tty USB0", "blank")
    refused("serial:/dev/x\n", "control character")
    refused("serial:/dev/x\0", "control character")
    message = str(raises(AddressError, parse, "serial:" + "x" * 100000))
    assert "longer than" in message
    assert len(message) < 2 * MAX_TEXT


def test_pulses_and_chronyd():
    eq((parse("pps:/dev/pps0").path, parse("pps:/dev/pps0").edge), ("/dev/pps0", "rise"))
    eq(str(parse("pps:15?edge=fall")), "pps:15?edge=fall")
    eq(parse("chrony:/run/x.sock").path, "/run/x.sock")
    refused("pps:/dev/pps0?edge=up", "rise, fall")
    refused("chrony:", "no path")


def test_watchdogs():
    eq(parse("watchdog:/dev/watchdog").path, "/dev/watchdog")
    eq(str(parse("watchdog:systemd")), "watchdog:systemd")
    refused("watchdog:", "no path")
