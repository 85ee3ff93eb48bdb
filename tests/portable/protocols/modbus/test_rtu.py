# SPDX-License-Identifier: Apache-2.0
"""The RTU client on a line with all kinds of faults, with every split."""

from protocols.modbus import pdu, rtu
from protocols.modbus.crc import with_crc
from protocols.modbus.expected_reply import OTHER_MASTER
from tests.portable.support.check import eq

LONG = ("test_buffer_stays_bounded_and_the_reply_is_still_found",)
SEEDS = 200


class Lcg:
    """Equal pseudo-random numbers on every interpreter (constants of Numerical Recipes)."""

    def __init__(self, seed):
        self.state = (seed * 2654435761 + 12345) & 0xFFFFFFFF

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 8) % n

    def data(self, n):
        return bytes([self.below(256) for _ in range(n)])


class RequestCase:
    """A random request, its good reply and the values of the reply."""

    def __init__(self, seed):
        self.lcg = lcg = Lcg(seed)
        self.unit = 1 + lcg.below(247)
        self.address = lcg.below(60000)
        self.count = 1 + lcg.below(30)
        kind = seed % 5
        self.registers = tuple([lcg.below(65536) for _ in range(self.count)])
        words = b"".join([bytes((word >> 8, word & 255)) for word in self.registers])
        self.expected = ("ok", 0, ())
        if kind < 2:
            self.pdu = (pdu.read_holding, pdu.read_input)[kind](self.address, self.count)
            body = self.pdu[:1] + bytes((2 * self.count,)) + words
            self.expected = ("ok", 0, self.registers)
        elif kind == 2:
            self.pdu = body = pdu.write_single(self.address, self.registers[0])
        elif kind == 3:
            self.pdu = pdu.write_multiple(self.address, self.registers)
            body = self.pdu[:5]
        else:
            self.pdu = pdu.read_holding(self.address, self.count)
            code = 1 + lcg.below(11)
            body = bytes((0x83, code))
            self.expected = ("exception", code, ())
        self.body = body
        self.good = with_crc(bytes((self.unit,)) + body)

    def other_unit(self):
        return 1 + (self.unit + self.lcg.below(246)) % 247

    def is_echo_function(self):
        """Return True if an echo of the request is also its good reply; only earlier reads
        distinguish them.
        """
        return self.pdu[0] == pdu.WRITE_SINGLE

    # Each method is one fault before, or instead of, the good reply.

    def noise(self):
        return self.lcg.data(1 + self.lcg.below(40))

    def noise_like_ours(self):
        return bytes((self.unit, self.pdu[0])) * (1 + self.lcg.below(4)) + bytes((self.unit,))

    def other_unit_frame(self):
        return with_crc(bytes((self.other_unit(),)) + self.body)

    def other_unit_request(self):
        return rtu.build_frame(self.other_unit(), pdu.read_holding(self.lcg.below(9999), 5))

    def echo(self):
        return b"" if self.is_echo_function() else rtu.build_frame(self.unit, self.pdu)

    def wrong_function(self):
        function = 4 if self.pdu[0] == 3 else 3
        return with_crc(bytes((self.unit, function, 2, 1, 2)))

    def wrong_exception(self):
        return with_crc(bytes((self.unit, (self.pdu[0] ^ 1) | 0x80, 2)))

    def wrong_count(self):
        if self.pdu[0] in pdu.READS:
            more = self.count + 1
            return with_crc(bytes((self.unit, self.pdu[0], 2 * more)) + self.lcg.data(2 * more))
        return with_crc(bytes((self.unit,)) + self.pdu[:4] + bytes((self.pdu[4] ^ 1,)))

    def wrong_address(self):
        if self.pdu[0] in pdu.READS:
            return self.wrong_count()
        return with_crc(bytes((self.unit, self.pdu[0], self.pdu[1] ^ 1)) + self.pdu[2:5])

    def bad_crc(self):
        place = self.lcg.below(len(self.good) - 2) + 2
        flipped = self.good[place] ^ (1 << self.lcg.below(8))
        return self.good[:place] + bytes((flipped,)) + self.good[place + 1 :]

    def truncated(self):
        return self.good[: 1 + self.lcg.below(len(self.good) - 1)]

    def nothing(self):
        return b""


FAULTS = (
    RequestCase.nothing,
    RequestCase.noise,
    RequestCase.noise_like_ours,
    RequestCase.other_unit_frame,
    RequestCase.other_unit_request,
    RequestCase.echo,
    RequestCase.wrong_function,
    RequestCase.wrong_exception,
    RequestCase.wrong_count,
    RequestCase.wrong_address,
    RequestCase.bad_crc,
    RequestCase.truncated,
)


def feed_all(client, data, most, lcg=None):
    """Feed chunks of `most` bytes, or of 1 to `most`, with silence after each chunk.

    Return [(bytes fed so far, result)].
    """
    results = []
    at = 0
    while at < len(data):
        step = 1 + lcg.below(most) if lcg else most
        result = client.feed(data[at : at + step])
        if result is None and client.is_deferred:
            result = client.settle()
        at = min(at + step, len(data))
        if result is not None:
            results.append((at, result))
    return results


def test_good_frame_is_accepted_on_last_byte_after_any_prefix():
    for seed in range(SEEDS):
        for fault in FAULTS:
            case = RequestCase(seed)
            before = fault(case)
            data = before + case.good + case.noise()
            client = rtu.RtuClient()
            client.start(case.unit, case.pdu)
            results = feed_all(client, data, 1)
            eq((seed, results), (seed, [(len(before) + len(case.good), case.expected)]))


def test_any_split_and_several_faults_in_a_row():
    for seed in range(SEEDS):
        case = RequestCase(seed)
        before = b""
        for _ in range(case.lcg.below(5)):
            before += FAULTS[case.lcg.below(len(FAULTS))](case)
        data = before + case.good + case.good  # a duplicate in the same segment
        client = rtu.RtuClient()
        client.start(case.unit, case.pdu)
        results = feed_all(client, data, 70, case.lcg)
        eq(len(results), 1)
        eq((seed, results[0][1]), (seed, case.expected))


def test_wrong_frames_are_never_accepted():
    for seed in range(SEEDS):
        for fault in FAULTS:
            case = RequestCase(seed)
            data = fault(case) + fault(case)
            for most in (1, 300, 7):
                client = rtu.RtuClient()
                client.start(case.unit, case.pdu)
                eq((seed, feed_all(client, data, most)), (seed, []))


def test_discarded_frames_are_counted_by_kind():
    case = RequestCase(0)
    table = (
        (RequestCase.noise, "discarded_bytes", ""),
        (RequestCase.other_unit_frame, "other_unit_frames", ""),
        (RequestCase.other_unit_request, "other_unit_frames", ""),
        (RequestCase.echo, "echoes", ""),
        (RequestCase.wrong_function, "mismatches", "function"),
        (RequestCase.wrong_exception, "mismatches", "function"),
        (RequestCase.wrong_count, "mismatches", "byte count"),
        (RequestCase.bad_crc, "crc_errors", "crc"),
    )
    for fault, counter, reason in table:
        client = rtu.RtuClient()
        client.start(case.unit, case.pdu)
        client.feed(fault(case))
        client.stop()
        assert getattr(client.counters, counter) >= 1, counter
        eq((counter, client.reason), (counter, reason))
    write = RequestCase(2)
    for fault, reason in (
        (RequestCase.wrong_address, "address echo"),
        (RequestCase.wrong_count, "value echo"),
    ):
        client = rtu.RtuClient()
        client.start(write.unit, write.pdu)
        client.feed(fault(write))
        client.stop()
        eq(client.reason, reason)


def test_bytes_between_transactions_are_no_reply():
    case = RequestCase(5)
    client = rtu.RtuClient()
    eq(client.feed(case.good), None)
    client.start(case.unit, case.pdu)
    eq(client.counters.unsolicited, 1)
    eq(client.feed(b""), None)
    eq(client.feed(case.good), case.expected)
    eq(client.feed(case.good), None)
    client.start(case.unit, case.pdu)
    eq(client.counters.unsolicited, 2)
    eq(client.counters.discarded_bytes, 0)


def test_reset_discards_partial_frame():
    case = RequestCase(5)
    client = rtu.RtuClient()
    client.start(case.unit, case.pdu)
    client.feed(case.good[:-1])
    client.reset()
    client.start(case.unit, case.pdu)
    eq(client.feed(case.good[-1:]), None)
    eq(client.feed(case.good), case.expected)


def test_buffer_stays_bounded_and_the_reply_is_still_found():
    case = RequestCase(1)
    client = rtu.RtuClient()
    client.start(case.unit, case.pdu)
    for _ in range(60):
        eq(client.feed(bytes((case.unit, case.pdu[0])) * 50), None)
        assert len(client.buffer) <= rtu.MAX_BUFFER
        assert len(client._candidates) <= rtu.MAX_BUFFER
    eq(client.feed(case.lcg.data(5000) + case.good + case.lcg.data(5000)), case.expected)
    assert len(client.buffer) <= rtu.MAX_BUFFER
    client.stop()
    eq(client.counters.discarded_bytes, 60 * 100 + 10000)


def test_reply_is_found_across_buffer_trim():
    case = RequestCase(0)
    garbage = case.lcg.data(rtu.MAX_BUFFER)
    for length in range(rtu.MAX_BUFFER - len(case.good), rtu.MAX_BUFFER + 1):
        client = rtu.RtuClient()
        client.start(case.unit, case.pdu)
        client.feed(garbage[:length])
        got = feed_all(client, case.good, 1)
        eq((length, got), (length, [(len(case.good), case.expected)]))


def test_line_echo_is_detected_before_write():
    read = RequestCase(0)
    client = rtu.RtuClient()
    request = client.start(read.unit, read.pdu)
    eq(client.feed(request + read.good), read.expected)
    assert client.line_echo
    request = client.start(7, pdu.write_single(3, 9))
    eq(client.feed(request), None)  # only the echo
    eq(client.feed(request), ("ok", 0, ()))
    eq(client.counters.echoes, 2)
    client.start(read.unit, read.pdu)
    eq(client.feed(read.good), read.expected)
    assert not client.line_echo
    request = client.start(7, pdu.write_single(3, 9))
    eq(client.feed(request), ("ok", 0, ()))


def test_an_echo_that_looks_like_a_reply():
    # The first 7 or 8 bytes of each request are a whole reply with a valid CRC.
    for unit, request, good, value in (
        (196, pdu.read_input(0x02B1, 1), b"\x04\x02\x00\x05", (5,)),
        (4, bytes((1, 2, 0x8D, 0, 16)), b"\x01\x02\x05\x00", (1, 0, 1) + 13 * (0,)),
        (7, pdu.write_single(3, 9), pdu.write_single(3, 9), ()),
        (7, b"\x41\x01\x02", b"\x41\x01\x02", (1, 2)),  # a function of the maker
    ):
        reply = with_crc(bytes((unit,)) + good)
        client = rtu.RtuClient()
        echo = client.start(unit, request)
        got = feed_all(client, echo, 1)
        eq((len(got), client.is_unproven, client.echo_known), (1, True, False))
        client.start(7, pdu.read_holding(0, 1))
        client.feed(with_crc(b"\x07\x03\x02\x00\x07"))
        client.start(unit, request)
        eq((client.feed(reply), client.is_unproven), (("ok", 0, value), False))
        echo = client.start(7, pdu.read_holding(0, 1))
        client.feed(echo + with_crc(b"\x07\x03\x02\x00\x07"))
        echo = client.start(unit, request)
        eq(feed_all(client, echo, 1), [])
        eq((client.feed(reply), client.is_unproven), (("ok", 0, value), False))
        client.reset()
        assert not client.echo_known


def test_an_echo_without_a_reply_is_known():
    client = rtu.RtuClient()
    echo = client.start(7, pdu.read_holding(0, 1))
    eq(client.feed(echo), None)
    client.stop()
    eq((client.line_echo, client.echo_known), (True, True))
    echo = client.start(7, pdu.write_single(3, 9))
    eq(client.feed(echo), None)


def test_a_damaged_echo_does_not_change_what_is_known():
    client = rtu.RtuClient()
    reply = with_crc(b"\x07\x03\x02\x00\x07")
    request = client.start(7, pdu.read_holding(0, 1))
    client.feed(request + reply)
    client.start(7, pdu.read_holding(0, 1))
    data = b"\x09" + request[1:] + reply  # bytes 5 and 6 look like the start of a longer frame
    eq(client.feed(data) or client.settle(), ("ok", 0, (7,)))
    eq((client.line_echo, client.echo_known), (True, True))
    client.start(7, pdu.read_holding(0, 1))
    eq(client.feed(b"\x00" + reply), ("ok", 0, (7,)))  # noise of the driver, no echo
    eq((client.line_echo, client.echo_known), (False, True))
    client.reset()
    for count in range(1, 9):  # long noise before each reply
        client.start(7, pdu.read_holding(0, 1))
        eq(client.feed(b"\x55\x5a\x55\x5a\x55\x5a" + reply), ("ok", 0, (7,)))
        eq(client.echo_known, count == 8)


def test_the_start_of_a_frame_can_be_intact_by_chance():
    # Unit 77 sends 24 bytes of data; the first 8 bytes of the frame have a valid CRC too.
    frame = b"\x4d\x03\x18\x7e\x53\xbf\x50\x3e\xcf\x09\x03\x04\xee\x00\xee\x00\x0b\x7b"
    frame += b"\x9e\x69\x55\xb4\x3b\x8e\xcd\x93\x00\x11\x97"
    for size in (1, 16, len(frame)):
        client = rtu.RtuClient()
        client.start(9, pdu.read_holding(25, 2))
        chunks = [frame[at : at + size] for at in range(0, len(frame), size)]
        eq([client.feed(chunk) for chunk in chunks], [None] * len(chunks))
        eq(client.feed(with_crc(b"\x09\x03\x04\x00\x01\x00\x02")), ("ok", 0, (1, 2)))


def test_a_frame_can_begin_after_the_tail_of_another():
    client = rtu.RtuClient()
    client.start(9, pdu.read_holding(9, 1))
    tail = b"\x5e\xe0\x6b\xd7\x29\xe8\x36\x0d\x00\x21\x75"
    forged = with_crc(b"\x09\x03\x02\xee\x00")
    frame = with_crc(b"\x4d\x03\x14" + b"\x28\x91\xc9\xdf\x02\xcd" + forged + bytes(7))
    for data in (tail, frame[:16], frame[16:]):
        eq(client.feed(data), None)
    eq(client.settle(), None)
    eq(client.feed(with_crc(b"\x09\x03\x02\x00\x05")), ("ok", 0, (5,)))


def test_ambiguous_exception_is_ignored():
    client = rtu.RtuClient()
    client.start(9, pdu.read_holding(0, 1), True)
    eq(client.feed(with_crc(b"\x09\x83\x02")), None)
    eq(client.feed(with_crc(b"\x09\x03\x02\x00\x07")), ("ok", 0, (7,)))
    eq(client.counters.mismatches, 1)


def test_replies_of_every_function_at_every_split():
    objects = b"\x00\x04ACME\x01\x02V1\x02\x031.0"
    cases = (
        (pdu.read_coils(3, 10), b"\x01\x02\x05\x02", (1, 0, 1, 0, 0, 0, 0, 0, 0, 1)),
        (pdu.read_discrete(3, 3), b"\x02\x01\x06", (0, 1, 1)),
        (pdu.write_coil(3, 1), pdu.write_coil(3, 1), ()),
        (pdu.write_coils(3, (1, 0, 1)), pdu.write_coils(3, (1, 0, 1))[:5], ()),
        (pdu.mask_write(3, 0xFF00, 5), pdu.mask_write(3, 0xFF00, 5), ()),
        (pdu.read_write(3, 2, 9, (7,)), b"\x17\x04\x00\x01\x00\x02", (1, 2)),
        (pdu.read_device_id(1, 0), b"\x2b\x0e\x01\x01\x00\x00\x03" + objects, None),
    )
    for request, reply, values in cases:
        good = with_crc(b"\x09" + reply)
        for before in (b"", b"\x09", b"\x09" + request[:1], b"\x00\x55\x09\x03"):
            for step in (1, 3, 99):
                client = rtu.RtuClient()
                client.start(9, request)
                results = feed_all(client, before + good + b"\x77", step)
                eq(len(results), 1)
                eq(results[0][1][0], "ok")
                if values is None:
                    eq(pdu.parse_objects(results[0][1][2])[0][0], (0, b"ACME"))
                else:
                    eq(results[0][1][2], values)


def test_a_reply_that_can_be_that_to_another_master():
    """Its request to our unit arrives first: nothing shows whose reply is the next."""
    lcg = Lcg(7)
    own_reply = with_crc(b"\x05\x03\x04\x00\x01\x00\x02")
    their_reply = with_crc(b"\x05\x03\x04\x00\x63\x00\x64")
    request = rtu.build_frame(5, pdu.read_holding(99, 2))
    for split in range(1, 40):
        for replies in (own_reply + their_reply, their_reply + own_reply):
            client = rtu.RtuClient()
            client.start(5, pdu.read_holding(16, 2))
            results = feed_all(client, lcg.data(lcg.below(9)) + request + replies, split)
            eq([answer[0] for _, answer in results], [OTHER_MASTER])
            eq((client.counters.other_unit_frames, client.reason), (1, OTHER_MASTER))
    client = rtu.RtuClient()
    client.start(6, pdu.read_holding(16, 2))
    client.stop()
    client.feed(rtu.build_frame(5, pdu.read_holding(99, 2)))
    eq(client.unanswered_others(), [bytes((5,)) + pdu.read_holding(99, 2)])
    client.feed(their_reply)
    eq(client.unanswered_others(), [])


def test_lost_end_of_a_frame_is_equal_to_the_start_of_the_next():
    """Both requests of the other master are seen, wherever the bytes are split."""
    first = with_crc(b"\x03\x05\x01\x90\xff\x00")
    second = rtu.build_frame(9, pdu.read_holding(0xAA, 2))
    eq(first[-1:], second[:1])
    data = first[:-1] + second
    for split in range(1, len(data)):
        for restart in (False, True):
            client = rtu.RtuClient()
            client.feed(data[:split])
            if restart:
                client.start(9, pdu.read_holding(1, 2))
            client.feed(data[split:])
            client.stop()
            others = client.unanswered_others()
            eq((split, restart, second[:-2] in others), (split, restart, True))


def test_reply_can_be_discarded():
    client = rtu.RtuClient()
    client.start(5, pdu.read_holding(16, 2))
    copy = with_crc(b"\x05\x03\x04\x00\x63\x00\x64")
    own_reply = with_crc(b"\x05\x03\x04\x00\x01\x00\x02")
    eq(client.feed(copy + own_reply), ("ok", 0, (99, 100)))
    eq(client.trailing_bytes, len(own_reply))
    eq(client.discard(), ("ok", 0, (1, 2)))
    client.start(5, pdu.read_holding(16, 2))
    client.feed(copy)
    eq(client.discard(), None)
    eq(client.feed(own_reply), ("ok", 0, (1, 2)))


def test_request_of_another_master_with_any_count():
    """No byte on the line raises; a read that no device can answer is not awaited."""
    for function in (3, 4):
        for count in (0, 1, 125, 126, 128, 200, 255, 256, 65535):
            frame = with_crc(bytes((7, function, 0, 0, count >> 8, count & 255)))
            idle = rtu.RtuClient()
            idle.feed(frame)
            is_valid = 1 <= count <= 125
            eq((count, idle.unanswered_others() != []), (count, is_valid))
            busy = rtu.RtuClient()
            busy.start(7, pdu.read(function, 0, min(count & 127, 125) or 1))
            eq(busy.feed(frame), None)
            busy.stop()
            eq(pdu.reply_prefix(frame[1:-2])[0], function)


def test_objects_end_with_the_reply():
    reply = b"\x2b\x0e\x01\x01\x00\x00\xff\x00\x04ACME"
    values = pdu.reply_values(pdu.read_device_id(), reply)
    eq(pdu.parse_objects(values), ([(0, b"ACME")], 0))


def test_each_byte_costs_little_whatever_is_received():
    """A peer can send the start of our reply without end. The checks of frames are counted."""
    good, exception = with_crc(b"\1\3\2\0\7"), with_crc(b"\1\x83\2")
    can_contain_all = b"\2\x10\0\0\0\x7b\xf6"
    checks = []
    real = rtu.frame_end
    rtu.frame_end = lambda *arguments: checks.append(1) or real(*arguments)
    try:
        for pattern in (b"\1\3", b"\1\3\2", b"\1\x83", can_contain_all + 30 * good, 40 * exception):
            data = (pattern * 300)[:600]
            client = rtu.RtuClient()
            client.start(1, pdu.read_holding(7, 1))
            for at in range(len(data)):
                if client.feed(data[at : at + 1]) is not None:
                    client.start(1, pdu.read_holding(7, 1))
            assert len(checks) < 100 * len(data), pattern
            checks.clear()
    finally:
        rtu.frame_end = real
