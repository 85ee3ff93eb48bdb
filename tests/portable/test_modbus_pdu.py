"""CRC, requests and the verdict on replies."""

from protocols.errors import EncodeError
from protocols.modbus import pdu, rtu, tcp
from protocols.modbus.crc import crc16, sealed
from tests.portable.check import eq, raises


def test_crc_check_value_and_residue():
    eq(crc16(b"123456789"), 0x4B37)  # the check value of CRC-16/MODBUS in the CRC catalogue
    eq(crc16(b""), 0xFFFF)
    eq(crc16(sealed(b"\x01\x03\x00\x00\x00\x0a")), 0)
    eq(sealed(b"\x01\x03\x00\x00\x00\x0a"), b"\x01\x03\x00\x00\x00\x0a\xc5\xcd")


def test_requests_of_the_specification():
    eq(pdu.read_holding(107, 3), b"\x03\x00\x6b\x00\x03")  # section 6.3
    eq(pdu.read_input(8, 1), b"\x04\x00\x08\x00\x01")  # section 6.4
    eq(pdu.write_single(1, 3), b"\x06\x00\x01\x00\x03")  # section 6.6
    eq(pdu.write_multiple(1, (10, 258)), b"\x10\x00\x01\x00\x02\x04\x00\x0a\x01\x02")  # 6.12


def test_limits_are_named():
    cases = (
        (pdu.read_holding, (-1, 1), "address -1 is not 0 to 65535"),
        (pdu.read_holding, (65536, 1), "address 65536 is not 0 to 65535"),
        (pdu.read_holding, (0, 0), "count 0 is not 1 to 125"),
        (pdu.read_input, (0, 126), "count 126 is not 1 to 125"),
        (pdu.read_holding, (65535, 2), "last address 65536 is not 0 to 65535"),
        (pdu.write_single, (0, 65536), "value 65536 is not 0 to 65535"),
        (pdu.write_single, (0, -1), "value -1 is not 0 to 65535"),
        (pdu.write_multiple, (0, ()), "count 0 is not 1 to 123"),
        (pdu.write_multiple, (0, (0,) * 124), "count 124 is not 1 to 123"),
        (pdu.write_multiple, (65535, (1, 2)), "last address 65536 is not 0 to 65535"),
        (pdu.write_multiple, (0, (1, 70000)), "value 70000 is not 0 to 65535"),
        (pdu.write_single, (0, 1.5), "value 1.5 is not 0 to 65535"),
        (rtu.frame, (0, b"\x03"), "unit 0 is not 1 to 247"),
        (rtu.frame, (248, b"\x03"), "unit 248 is not 1 to 247"),
        (tcp.Client().start, (256, b"\x03"), "unit 256 is not 0 to 255"),
    )
    for call, args, text in cases:
        eq(str(raises(EncodeError, call, *args)), text)
    eq(len(pdu.read_holding(65535, 1)), 5)
    eq(len(pdu.write_multiple(65413, (65535,) * 123)), 6 + 246)


def test_verdicts():
    read = pdu.read_holding(16, 2)
    single = pdu.write_single(16, 5)
    many = pdu.write_multiple(16, (1, 2))
    cases = (
        (read, b"\x03\x04\x00\x01\xff\xfe", ("ok", 0, (1, 65534))),
        (read, b"\x83\x02", ("exception", 2, ())),
        (read, b"\x83\x02\x00", ("exception length", 0, ())),
        (read, b"\x83", ("exception length", 0, ())),
        (read, b"", ("empty", 0, ())),
        (read, b"\x04\x04\x00\x01\x00\x02", ("function", 0, ())),
        (read, b"\x84\x02", ("function", 0, ())),
        (read, b"\x03\x02\x00\x01", ("byte count", 0, ())),
        (read, b"\x03\x06\x00\x01\x00\x02\x00\x03", ("byte count", 0, ())),
        (read, b"\x03\x04\x00\x01\x00", ("length", 0, ())),
        (read, b"\x03\x04\x00\x01\x00\x02\x00", ("length", 0, ())),
        (read, b"\x03", ("length", 0, ())),
        (single, single, ("ok", 0, ())),
        (single, b"\x06\x00\x11\x00\x05", ("address echo", 0, ())),
        (single, b"\x06\x00\x10\x00\x06", ("value echo", 0, ())),
        (single, b"\x06\x00\x10\x00", ("length", 0, ())),
        (many, b"\x10\x00\x10\x00\x02", ("ok", 0, ())),
        (many, b"\x10\x00\x10\x00\x01", ("count echo", 0, ())),
        (many, b"\x10\x00\x0f\x00\x02", ("address echo", 0, ())),
        (many, b"\x90\x0b", ("exception", 11, ())),
    )
    for request, reply, verdict in cases:
        eq(pdu.judge(request, reply), verdict)


def test_reply_shapes_are_known_in_advance():
    eq(pdu.reply_head(pdu.read_input(7, 125)), b"\x04\xfa")
    eq(pdu.reply_length(pdu.read_input(7, 125)), 252)
    eq(pdu.reply_head(pdu.write_multiple(1, (9,))), b"\x10\x00\x01\x00\x01")
    eq(pdu.reply_length(pdu.write_single(1, 9)), 5)
