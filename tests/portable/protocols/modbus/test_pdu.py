# SPDX-License-Identifier: Apache-2.0
"""CRC, requests and checks of replies."""

from protocols.errors import EncodeError
from protocols.modbus import pdu, rtu, tcp
from protocols.modbus.crc import crc16, is_intact, with_crc
from tests.portable.support.check import eq, raises


def test_crc_check_value_and_residue():
    eq(crc16(b"123456789"), 0x4B37)  # the check value of CRC-16/MODBUS in the CRC catalogue
    eq(crc16(b""), 0xFFFF)
    eq(crc16(with_crc(b"\x01\x03\x00\x00\x00\x0a")), 0)
    eq(with_crc(b"\x01\x03\x00\x00\x00\x0a"), b"\x01\x03\x00\x00\x00\x0a\xc5\xcd")


def test_intact_frames_are_those_whose_crc_is_0():
    """CPython has a check of its own: it must agree with the CRC, frame by frame."""
    state = 1
    for size in range(2, 300):
        body = bytearray(size - 2)
        for i in range(size - 2):
            state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
            body[i] = state >> 24
        frame = bytearray(with_crc(bytes(body)))
        eq(is_intact(bytes(frame)), True)
        frame[state % size] ^= 1 << (state >> 20) % 8
        eq(is_intact(bytes(frame)), False)
        frame[(state >> 8) % size] ^= (state >> 12) & 0xFF
        eq(is_intact(bytes(frame)), crc16(bytes(frame)) == 0)


def test_no_short_text_is_an_intact_frame_by_chance():
    found = [n for n in range(65536) if is_intact(bytes((n >> 8, n & 0xFF)))]
    eq(found, [0xFFFF])
    eq(is_intact(b""), False)
    eq([n for n in range(256) if is_intact(bytes((n,)))], [])


def test_requests_of_the_specification():
    eq(pdu.read_holding(107, 3), b"\x03\x00\x6b\x00\x03")  # section 6.3
    eq(pdu.read_input(8, 1), b"\x04\x00\x08\x00\x01")  # section 6.4
    eq(pdu.write_single(1, 3), b"\x06\x00\x01\x00\x03")  # section 6.6
    eq(pdu.write_multiple(1, (10, 258)), b"\x10\x00\x01\x00\x02\x04\x00\x0a\x01\x02")  # 6.12


def test_limits_are_reported():
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
        (rtu.build_frame, (0, b"\x03"), "unit 0 is not 1 to 255"),
        (rtu.build_frame, (256, b"\x03"), "unit 256 is not 1 to 255"),
        (tcp.TcpClient().start, (256, b"\x03"), "unit 256 is not 0 to 255"),
    )
    for call, args, text in cases:
        eq(str(raises(EncodeError, call, *args)), text)
    eq(len(pdu.read_holding(65535, 1)), 5)
    eq(len(pdu.write_multiple(65413, (65535,) * 123)), 6 + 246)


def test_reply_checks():
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
        eq(pdu.check_reply(request, reply), verdict)


def test_expected_reply_prefix_and_length():
    eq(pdu.reply_prefix(pdu.read_input(7, 125)), b"\x04\xfa")
    eq(pdu.reply_length(pdu.read_input(7, 125)), 252)
    eq(pdu.reply_prefix(pdu.write_multiple(1, (9,))), b"\x10\x00\x01\x00\x01")
    eq(pdu.reply_length(pdu.write_single(1, 9)), 5)


def test_further_requests_of_the_specification():
    eq(pdu.read_coils(19, 19), b"\x01\x00\x13\x00\x13")  # section 6.1
    eq(pdu.read_discrete(196, 22), b"\x02\x00\xc4\x00\x16")  # section 6.2
    eq(pdu.write_coil(172, 1), b"\x05\x00\xac\xff\x00")  # section 6.5
    eq(pdu.write_coil(172, 0), b"\x05\x00\xac\x00\x00")
    coils = (1, 0, 1, 1, 0, 0, 1, 1, 1, 0)
    eq(pdu.write_coils(19, coils), b"\x0f\x00\x13\x00\x0a\x02\xcd\x01")  # section 6.11
    eq(pdu.mask_write(4, 0xF2, 0x25), b"\x16\x00\x04\x00\xf2\x00\x25")  # section 6.16
    written = b"\x17\x00\x03\x00\x06\x00\x0e\x00\x03\x06\x00\xff\x00\xff\x00\xff"  # section 6.17
    eq(pdu.read_write(3, 6, 14, (255, 255, 255)), written)
    eq(pdu.read_device_id(), b"\x2b\x0e\x01\x00")  # section 6.21


def test_further_limits_are_reported():
    cases = (
        (pdu.read_coils, (0, 2001), "count 2001 is not 1 to 2000"),
        (pdu.read_discrete, (65535, 2), "last address 65536 is not 0 to 65535"),
        (pdu.read, (5, 0, 1), "function 5 is not 1 to 4"),
        (pdu.read, (3, 0, 126), "count 126 is not 1 to 125"),
        (pdu.write_coil, (0, 2), "value 2 is not 0 to 1"),
        (pdu.write_coil, (0, True), "value True is not 0 to 1"),
        (pdu.write_coils, (0, (0,) * 1969), "count 1969 is not 1 to 1968"),
        (pdu.write_coils, (0, (0, 2)), "value 2 is not 0 to 1"),
        (pdu.mask_write, (0, 65536, 0), "and mask 65536 is not 0 to 65535"),
        (pdu.mask_write, (0, 0, -1), "or mask -1 is not 0 to 65535"),
        (pdu.read_write, (0, 126, 0, (1,)), "count 126 is not 1 to 125"),
        (pdu.read_write, (0, 1, 0, (1,) * 122), "count 122 is not 1 to 121"),
        (pdu.read_device_id, (5,), "code 5 is not 1 to 4"),
        (pdu.read_device_id, (4, 256), "object 256 is not 0 to 255"),
    )
    for call, args, text in cases:
        eq(str(raises(EncodeError, call, *args)), text)
    eq(len(pdu.write_coils(0, (1,) * 1968)), 252)
    eq(len(pdu.read_write(0, 1, 0, (1,) * 121)), 252)


IDENTITY = b"\x2b\x0e\x01\x01\x00\x00\x02\x00\x02AB\x01\x03CDE"


def test_further_reply_checks():
    coils = pdu.read_coils(19, 10)
    coil = pdu.write_coil(172, 1)
    mask = pdu.mask_write(4, 0xF2, 0x25)
    both = pdu.read_write(3, 2, 14, (255,))
    many = pdu.write_coils(19, (1, 0))
    identify = pdu.read_device_id()
    cases = (
        (coils, b"\x01\x02\xcd\x01", ("ok", 0, (1, 0, 1, 1, 0, 0, 1, 1, 1, 0))),
        (coils, b"\x01\x01\xcd", ("byte count", 0, ())),
        (coils, b"\x01\x02\xcd", ("length", 0, ())),
        (coils, b"\x02\x02\xcd\x01", ("function", 0, ())),
        (coil, coil, ("ok", 0, ())),
        (coil, b"\x05\x00\xac\x00\x00", ("value echo", 0, ())),
        (coil, b"\x05\x00\xad\xff\x00", ("address echo", 0, ())),
        (many, b"\x0f\x00\x13\x00\x02", ("ok", 0, ())),
        (many, b"\x0f\x00\x13\x00\x03", ("count echo", 0, ())),
        (mask, mask, ("ok", 0, ())),
        (mask, b"\x16\x00\x04\x00\xf2", ("length", 0, ())),
        (mask, b"\x16\x00\x04\x00\xf3\x00\x25", ("and mask echo", 0, ())),
        (mask, b"\x16\x00\x04\x00\xf2\x00\x24", ("or mask echo", 0, ())),
        (both, b"\x17\x04\x00\x01\x00\x02", ("ok", 0, (1, 2))),
        (both, b"\x17\x02\x00\x01", ("byte count", 0, ())),
        (both, b"\x97\x06", ("exception", 6, ())),
        (identify, IDENTITY, ("ok", 0, tuple(IDENTITY[3:]))),
        (identify, IDENTITY[:-1], ("length", 0, ())),
        (identify, IDENTITY + b"x", ("length", 0, ())),
        (identify, b"\x2b\x0d" + IDENTITY[2:], ("interface", 0, ())),
        (identify, b"\x2b\x0e\x02" + IDENTITY[3:], ("code", 0, ())),
        (identify, b"\x2b\x0e\x01", ("length", 0, ())),
        (identify, b"\xab\x01", ("exception", 1, ())),
    )
    for request, reply, verdict in cases:
        eq((reply, pdu.check_reply(request, reply)), (reply, verdict))


def test_further_reply_lengths():
    eq(pdu.reply_prefix(pdu.read_coils(0, 2000)), b"\x01\xfa")
    eq(pdu.reply_length(pdu.read_coils(0, 9)), 4)
    eq(pdu.reply_prefix(pdu.mask_write(4, 1, 2)), pdu.mask_write(4, 1, 2))
    eq(pdu.reply_length(pdu.mask_write(4, 1, 2)), 7)
    eq(pdu.reply_prefix(pdu.read_write(3, 6, 14, (1, 2))), b"\x17\x0c")
    eq(pdu.reply_prefix(pdu.write_coils(3, (1, 1))), b"\x0f\x00\x03\x00\x02")


def test_device_identification_length_and_objects():
    identify = pdu.read_device_id()
    sizes = [pdu.expected_length(identify, IDENTITY[:size]) for size in range(len(IDENTITY) + 1)]
    eq(sizes, [7] * 7 + [9, 9] + [13] * 4 + [16] * 4)
    eq(pdu.parse_objects(pdu.check_reply(identify, IDENTITY)[2]), ([(0, b"AB"), (1, b"CDE")], 0))
    more = IDENTITY[:4] + b"\xff\x02" + IDENTITY[6:]
    eq(pdu.parse_objects(pdu.check_reply(identify, more)[2])[1], 2)
    endless = IDENTITY[:6] + b"\xff" + b"\x00\xfa" + b"x" * 250
    eq(pdu.expected_length(identify, endless), 253)
