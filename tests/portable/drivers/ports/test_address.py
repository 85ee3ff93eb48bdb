# SPDX-License-Identifier: Apache-2.0
"""Addresses: parsing, errors with reasons, canonical text."""

from drivers.errors import AddressError
from drivers.ports.address import parse_address
from drivers.ports.address_text import BAUDS, MAX_TEXT
from tests.portable.support.check import eq, raises


def check_rejected(text: str, *parts: str) -> None:
    """Check that `text` is rejected with a message that has every part."""
    message = str(raises(AddressError, parse_address, text))
    for part in parts:
        assert part in message, "%r lacks %r" % (message, part)


def test_serial_with_all_options():
    address = parse_address("serial:/dev/ttyUSB0?baud=19200&parity=E&stop=2&rs485=1")
    eq((address.kind, address.path), ("serial", "/dev/ttyUSB0"))
    eq((address.baud, address.parity, address.stop, address.rs485), (19200, "E", 2, True))
    eq(address.bits_per_char, 12)
    eq(address.char_us, 625)


def test_modbus_wires():
    address = parse_address("rtu+tcp:gw:4001?baud=19200&parity=E&units=255")
    eq((address.host, address.port, address.bits_per_char, address.max_unit), ("gw", 4001, 11, 255))
    eq(str(address), "rtu+tcp:gw:4001?baud=19200&parity=E&units=255")
    eq(parse_address("ascii:/dev/ttyS0?parity=E").bits_per_char, 10)
    eq(parse_address("ascii+tcp:gw:1?bits=8").data_bits, 8)
    eq(parse_address("serial:x?rs485=1&before=2&after=100").delays_ms, (2, 100))
    eq((parse_address("serial:x").max_unit, parse_address("tcp:a:1").max_unit), (247, 255))
    eq(
        parse_address("serial:x?de=/dev/gpiochip0:17&after=2").direction_line,
        ("/dev/gpiochip0", 17),
    )
    eq(parse_address("serial:x").direction_line, ("", 0))
    check_rejected("serial:x?before=1", "before needs rs485=1 or de")
    check_rejected("serial:x?de=17", "de '17' is not CHIP:NUMBER, such as /dev/gpiochip0:17")
    check_rejected("serial:x?de=a:b", "GPIO line 'b' is not a number from 0 to 9999")
    check_rejected("serial:x?de=a:1&rs485=1", "rs485=1 and de exclude each other")
    check_rejected("serial:x?rs485=1&after=101", "after '101' is not a number from 0 to 100")


def test_defaults():
    address = parse_address("serial:/dev/ttyS0")
    eq((address.baud, address.parity, address.stop, address.rs485), (9600, "N", 1, False))
    eq(address.bits_per_char, 10)


def test_character_time_is_rounded_up():
    eq(parse_address("serial:x?baud=9600").char_us, 1042)  # 1041.67
    eq(parse_address("serial:x?baud=19200&parity=O").char_us, 573)  # 572.9
    eq(parse_address("serial:x?baud=4000000").char_us, 3)  # 2.5


def test_tcp():
    address = parse_address("tcp:broker.example:1883")
    eq((address.kind, address.host, address.port), ("tcp", "broker.example", 1883))
    eq(parse_address("tcp:[fe80::1]:502").host, "fe80::1")
    eq(str(parse_address("tcp:[fe80::1]:502")), "tcp:[fe80::1]:502")


def test_tls_options_are_paths():
    address = parse_address("tls:broker:8883?ca=/etc/ca.pem&cert=/etc/c.pem&key=/etc/c.key")
    eq(address.options.get("ca"), "/etc/ca.pem")
    eq(address.options.get("cert"), "/etc/c.pem")
    eq(address.options.get("key"), "/etc/c.key")
    eq(len(parse_address("tls:broker:8883").options), 0)


def test_store_and_uart():
    eq(parse_address("store:/var/lib/coldloop").path, "/var/lib/coldloop")
    eq(
        (parse_address("uart:1?baud=115200").path, parse_address("uart:1?baud=115200").baud),
        ("1", 115200),
    )


def test_text_is_canonical():
    eq(str(parse_address("serial:/dev/x?stop=1&parity=E&baud=9600")), "serial:/dev/x?parity=E")
    eq(str(parse_address("uart:07?baud=9600")), "uart:7")
    eq(parse_address("serial:/dev/x?baud=9600"), parse_address("serial:/dev/x"))
    eq(hash(parse_address("serial:/dev/x?baud=9600")), hash(parse_address("serial:/dev/x")))
    assert parse_address("serial:/dev/x") != parse_address("serial:/dev/y")
    assert parse_address("serial:/dev/x") != "serial:/dev/x"


def test_round_trip():
    for text in (
        "serial:/dev/ttyUSB0",
        "serial:/dev/ttyUSB0?baud=19200&parity=E&stop=2&rs485=1",
        "uart:3?baud=38400&parity=O",
        "tcp:10.0.0.1:502",
        "tls:h:65535?ca=/a&cert=/b&key=/c",
        "store:/run/coldloop",
    ):
        eq(str(parse_address(text)), text)
        eq(parse_address(str(parse_address(text))), parse_address(text))


def test_every_baud():
    for baud in BAUDS:
        eq(parse_address("serial:x?baud=%d" % baud).baud, baud)


def test_location_has_no_options():
    eq(parse_address("tls:h:1?ca=/secret/ca.pem").location(), "tls:h:1")
    eq(parse_address("serial:/dev/x?baud=300").location(), "serial:/dev/x")


def test_with_options():
    address = parse_address("serial:/dev/x?baud=19200&parity=E")
    eq(str(address.with_options("baud=300")), "serial:/dev/x?baud=300&parity=E")
    eq(str(address), "serial:/dev/x?baud=19200&parity=E")
    raises(AddressError, address.with_options, "baud=1")
    raises(AddressError, address.with_options, "ca=/x")


def test_unknown_kind():
    check_rejected(
        "ttyUSB0",
        "'ttyUSB0'",
        "serial:, uart:, tcp:, rtu+tcp:, rtu+udp:, ascii:, ascii+tcp:, tls:, store:",
    )
    check_rejected("sctp:a:1", "begins with none of")
    check_rejected("", "begins with none of")


def test_bad_values_name_what_is_allowed():
    check_rejected("serial:x?baud=9601", "baud is '9601', not one of 300, 600,")
    check_rejected("serial:x?baud=+9600", "baud is")
    check_rejected("serial:x?parity=e", "parity is 'e', not one of N, E, O")
    check_rejected("serial:x?stop=3", "stop is '3', not one of 1, 2")
    check_rejected("serial:x?rs485=yes", "rs485 is 'yes', not one of 0, 1")


def test_bad_options():
    check_rejected(
        "serial:x?speed=1",
        "unknown option 'speed' (serial takes baud, parity, stop, rs485, de, before, after, units)",
    )
    check_rejected("tcp:a:1?ca=/x", "unknown option 'ca' (tcp takes no options)")
    check_rejected("uart:1?de=5", "unknown option 'de' (uart takes baud, parity, stop, rs485)")
    check_rejected("serial:x?baud", "option 'baud' has no value")
    check_rejected("serial:x?baud=", "option 'baud' has no value")
    check_rejected("serial:x?baud=300&baud=600", "given twice")
    check_rejected("serial:x?&", "unknown option ''")
    check_rejected("tls:a:1?tls=1.3", "tls is '1.3', not one of 1.2")
    check_rejected("tls:a:1?cert=/x", "cert and key go together")
    check_rejected("tls:a:1?key=/x", "cert and key go together")


def test_bad_hosts_and_ports():
    check_rejected("tcp:a", "not HOST:PORT")
    check_rejected("tcp::1", "not HOST:PORT")
    check_rejected("tcp:[]:1", "host")
    check_rejected("tcp:fe80::1:502", "brackets")
    check_rejected("tcp:a/b:1", "host 'a/b'")
    for port in ("0", "65536", "-1", "1.5", "", "0x10", "999999999999999999999", "\u0661"):
        check_rejected("tcp:a:" + port, "is not a number from 1 to 65535")


def test_bad_paths():
    check_rejected("serial:", "no path after serial:")
    check_rejected("store:?x", "unknown option")
    check_rejected("uart:one", "UART 'one' is not a number from 0 to 99")
    check_rejected("uart:100", "0 to 99")


def test_malformed_text():
    check_rejected("serial:/dev/tty USB0", "blank")
    check_rejected("serial:/dev/x\n", "control character")
    check_rejected("serial:/dev/x\0", "control character")
    message = str(raises(AddressError, parse_address, "serial:" + "x" * 100000))
    assert "longer than" in message
    assert len(message) < 2 * MAX_TEXT


def test_pps_and_chrony():
    eq(
        (parse_address("pps:/dev/pps0").path, parse_address("pps:/dev/pps0").edge),
        ("/dev/pps0", "rise"),
    )
    eq(str(parse_address("pps:15?edge=fall")), "pps:15?edge=fall")
    eq(parse_address("chrony:/run/x.sock").path, "/run/x.sock")
    check_rejected("pps:/dev/pps0?edge=up", "rise, fall")
    check_rejected("chrony:", "no path")


def test_watchdogs():
    eq(parse_address("watchdog:/dev/watchdog").path, "/dev/watchdog")
    eq(str(parse_address("watchdog:systemd")), "watchdog:systemd")
    check_rejected("watchdog:", "no path")
