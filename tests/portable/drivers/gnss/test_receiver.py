# SPDX-License-Identifier: Apache-2.0
"""The receiver driver: one fix per epoch, exact arrival times, a reason for every invalid fix."""

from drivers.errors import DriverError
from drivers.gnss.receiver import Fix, ReceiverDriver
from protocols import calendar
from protocols.nmea.framing import MAX_SENTENCE
from tests.portable.support.check import eq, raises
from tests.portable.support.nmeatext import line

BAUD = 9600
DAY_START = 1795564800000000  # 2026-11-25T00:00:00Z


def rmc(time: str, status: str = "A", mode: str = "A", date: str = "251126") -> bytes:
    return line("GNRMC,%s,%s,2512.5,N,05516.5,E,0.0,0.0,%s,,,%s,V" % (time, status, date, mode))


def gga(time: str, quality: str = "1", used: str = "16") -> bytes:
    return line("GNGGA,%s,2512.6,N,05516.6,E,%s,%s,0.7,12.3,M,-33.1,M,," % (time, quality, used))


def zda(time: str, date: str = "25,11,2026") -> bytes:
    return line("GNZDA,%s,%s,00,00" % (time, date))


GSV = line("GPGSV,1,1,03,01,42,107,35,03,42,000,33,06,49,135,45,1") + line(
    "GBGSV,1,1,02,21,42,107,35,23,42,000,33,1"
)


def char_us(count: int) -> int:
    return count * 10 * 1000000 // BAUD


def feed_stream(
    receiver: ReceiverDriver, stream: bytes, first_us: int, step: int = 0
) -> "list[Fix]":
    """Feed a stream whose first byte arrives at `first_us`, in chunks of `step`, without delay."""
    fixes = []
    step = step or len(stream)
    for at in range(0, len(stream), step):
        chunk = stream[at : at + step]
        receiver.receive(chunk, first_us + char_us(at + len(chunk) - 1))
        fixes += receiver.take_fixes()
    return fixes


def only_fix(fixes: "list[Fix]") -> Fix:
    eq(len(fixes), 1)
    return fixes[0]


def test_fix_when_rmc_and_gga_received() -> None:
    for stream in (gga("010203.500") + rmc("010203.50"), rmc("010203.50") + gga("010203.500")):
        receiver = ReceiverDriver(3, BAUD)
        fix = only_fix(feed_stream(receiver, stream, 5000000))
        eq(fix.utc_us, DAY_START + 3723500000)
        eq(fix.mono_us, 5000000)
        eq((fix.valid, fix.reasons), (True, ()))
        eq((fix.lat_e7, fix.lon_e7, fix.alt_mm, fix.used), (252100000, 552766667, 12300, 16))
        eq(receiver.port, 3)
        eq(receiver.take_fixes(), [])


def test_timestamp_is_of_first_timed_sentence() -> None:
    receiver = ReceiverDriver(0, BAUD)
    noise = b"\0\0" + line("GPTXT,01,01,01,ANTENNA OK") + GSV
    stream = noise + gga("010203.0") + GSV + rmc("010203.0")
    fix = only_fix(feed_stream(receiver, stream, 1000000))
    eq(fix.mono_us, 1000000 + char_us(len(noise)))


def test_latency_is_subtracted() -> None:
    receiver = ReceiverDriver(0, BAUD, 10, 30000)
    eq(only_fix(feed_stream(receiver, rmc("010203.0") + gga("010203.0"), 1000000)).mono_us, 970000)


def test_bits_of_a_character() -> None:
    receiver = ReceiverDriver(0, BAUD, 11)
    stream = rmc("010203.0") + gga("010203.0")
    receiver.receive(stream, 1000000)
    eq(only_fix(receiver.take_fixes()).mono_us, 1000000 - (len(stream) - 1) * 11000000 // BAUD)


def test_chunking_does_not_matter() -> None:
    stream = b"\0$" + gga("010203.0") + GSV + rmc("010203.0") + GSV
    for step in range(1, len(stream) + 1):
        fix = only_fix(feed_stream(ReceiverDriver(0, BAUD), stream, 1000000, step))
        assert abs(fix.mono_us - (1000000 + char_us(2))) <= 1
        assert fix.valid


def test_a_pause_inside_the_first_sentence() -> None:
    """The mark came with an earlier chunk: its time counts, not that of the last chunk."""
    first = gga("010203.0")
    rest = rmc("010203.0")
    for cut in range(1, len(first) - 2):
        receiver = ReceiverDriver(0, BAUD)
        receiver.receive(b"\r\n$" + first[:cut], 1000000)
        receiver.receive(first[cut : cut + 1], 1500000)
        receiver.receive(first[cut + 1 :] + rest, 2000000)
        eq(only_fix(receiver.take_fixes()).mono_us, 1000000 - char_us(cut - 1))


def test_a_pause_before_a_spliced_sentence() -> None:
    """A truncated sentence came with the first chunk, the valid one began in the second."""
    good = gga("010203.0") + rmc("010203.0")
    receiver = ReceiverDriver(0, BAUD)
    receiver.receive(good[:20], 1000000)
    receiver.receive(b"123" + good[:30], 1500000)
    receiver.receive(good[30:40], 1700000)
    receiver.receive(good[40:], 2000000)
    eq(only_fix(receiver.take_fixes()).mono_us, 1500000 - char_us(29))


def test_chunk_history_is_bounded() -> None:
    receiver = ReceiverDriver(0, BAUD)
    stream = gga("010203.0") * 100
    for at in range(0, len(stream), 50):  # nearly every chunk ends inside a sentence
        receiver.receive(stream[at : at + 50], at)
        assert len(receiver._chunks) < 4
    for at in range(300):
        receiver.receive(b"$", at)
        receiver.receive(b"x", at)
        assert len(receiver._chunks) <= MAX_SENTENCE


def test_one_fix_per_epoch() -> None:
    receiver = ReceiverDriver(0, BAUD)
    fixes = []
    for second in range(30):
        time = "0000%02d.00" % second
        epoch = gga(time) + GSV + rmc(time) + line("GNVTG,225.79,T,,M,0.01,N,0.02,K,A") + zda(time)
        fixes += feed_stream(receiver, epoch, second * 1000000 + 30000)
    eq(len(fixes), 30)
    for second in range(30):
        eq(fixes[second].utc_us, DAY_START + second * 1000000)
        eq(fixes[second].mono_us, second * 1000000 + 30000)
        assert fixes[second].valid
        eq(fixes[second].visible, 5 if second else None)
    counts = receiver.counters()
    eq((counts["epochs"], counts["valid_fixes"], counts["void_fixes"]), (30, 30, 0))
    eq((counts["others"], counts["repeated"], counts["sentences"]), (30, 0, 30 * 6))


def test_a_missing_sentence_waits_for_the_next_epoch() -> None:
    receiver = ReceiverDriver(0, BAUD)
    eq(feed_stream(receiver, rmc("010203.0"), 1000000), [])
    fix = only_fix(feed_stream(receiver, rmc("010204.0"), 2000000))
    eq((fix.valid, fix.mono_us, fix.utc_us), (True, 1000000, DAY_START + 3723000000))
    eq((fix.lat_e7, fix.alt_mm, fix.used), (252083333, None, None))
    receiver = ReceiverDriver(0, BAUD)
    eq(feed_stream(receiver, gga("010203.0") + zda("010203.0"), 1000000), [])
    fix = only_fix(feed_stream(receiver, gga("010204.0"), 2000000))
    eq((fix.reasons, fix.utc_us), (("no RMC",), DAY_START + 3723000000))


def test_reasons() -> None:
    for stream, reasons in (
        (rmc("010203.0", "V") + gga("010203.0"), ("status",)),
        (rmc("010203.0", "") + gga("010203.0"), ("status",)),
        (rmc("010203.0", "V", "N") + gga("010203.0", "0"), ("status", "mode", "quality")),
        (rmc("010203.0", "A", "E") + gga("010203.0"), ("mode",)),
        (rmc("010203.0", "A", "M") + gga("010203.0"), ("mode",)),
        (rmc("010203.0", "A", "S") + gga("010203.0"), ("mode",)),
        (rmc("010203.0", "A", "") + gga("010203.0"), ("mode",)),
        (rmc("010203.0") + gga("010203.0", "0"), ("quality",)),
        (rmc("010203.0") + gga("010203.0", "6"), ("quality",)),
        (rmc("010203.0") + gga("010203.0", "8"), ("quality",)),
        (rmc("010203.0") + gga("010203.0", ""), ("quality",)),
        (rmc("010203.0", "A", "A", "") + gga("010203.0"), ("no date",)),
        (rmc("235960.0", "A", "A", "311216") + gga("235960.0"), ("leap second",)),
    ):
        fix = only_fix(feed_stream(ReceiverDriver(0, BAUD), stream, 1000000))
        eq((fix.valid, fix.reasons), (False, reasons))
    for mode in "ADFPR":
        for quality in "12345":
            stream = rmc("010203.0", "A", mode) + gga("010203.0", quality)
            assert only_fix(feed_stream(ReceiverDriver(0, BAUD), stream, 1000000)).valid


def test_void_fix_keeps_utc() -> None:
    fix = only_fix(
        feed_stream(ReceiverDriver(0, BAUD), rmc("010203.0", "V", "N") + gga("010203.0", "0"), 0)
    )
    eq(fix.utc_us, DAY_START + 3723000000)
    fix = only_fix(
        feed_stream(ReceiverDriver(0, BAUD), rmc("010203.0", "A", "A", "") + gga("010203.0"), 0)
    )
    eq(fix.utc_us, None)


def test_leap_second_is_the_next_midnight() -> None:
    stream = rmc("235960.0", "A", "A", "311216") + gga("235960.0")
    fix = only_fix(feed_stream(ReceiverDriver(0, BAUD), stream, 0))
    eq(fix.utc_us, calendar.utc_from_civil(2017, 1, 1))


def test_date_can_come_from_zda() -> None:
    stream = zda("010203.0") + rmc("010203.0", "A", "A", "") + gga("010203.0")
    fix = only_fix(feed_stream(ReceiverDriver(0, BAUD), stream, 0))
    eq((fix.valid, fix.utc_us), (True, DAY_START + 3723000000))


def test_dates_must_agree() -> None:
    stream = zda("010203.0", "26,11,2026") + rmc("010203.0") + gga("010203.0")
    fix = only_fix(feed_stream(ReceiverDriver(0, BAUD), stream, 0))
    eq((fix.utc_us, fix.reasons), (None, ("dates differ",)))


def test_late_zda_is_awaited() -> None:
    receiver = ReceiverDriver(0, BAUD)
    first = rmc("010203.0") + gga("010203.0") + zda("010203.0", "26,11,2026")
    assert only_fix(feed_stream(receiver, first, 0)).valid
    eq(receiver.counters()["late_conflicts"], 1)
    eq(feed_stream(receiver, rmc("010204.0") + gga("010204.0"), 1000000), [])
    fix = only_fix(feed_stream(receiver, zda("010204.0", "26,11,2026"), 1300000))
    eq((fix.mono_us, fix.reasons), (1000000, ("dates differ",)))
    # ZDA stops: one fix waits for the next epoch, the others do not
    eq(feed_stream(receiver, rmc("010205.0") + gga("010205.0"), 2000000), [])
    eq(len(feed_stream(receiver, rmc("010206.0"), 3000000)), 1)
    eq(len(feed_stream(receiver, gga("010206.0"), 3100000)), 1)
    eq(receiver.counters()["late_conflicts"], 1)


def test_receiver_without_time() -> None:
    receiver = ReceiverDriver(0, BAUD)
    cold = line("GNGGA,,,,,,0,00,25.5,,,,,,") + line("GNRMC,,V,,,,,,,,,,N,V")
    fix = only_fix(feed_stream(receiver, cold + line("GNZDA,,,,,,"), 1000000))
    eq((fix.utc_us, fix.valid, fix.reasons), (None, False, ("no time",)))
    eq(receiver.counters()["untimed"], 3)
    eq(len(feed_stream(receiver, cold, 2000000)), 1)


def test_repeated_sentences_give_no_second_fix() -> None:
    receiver = ReceiverDriver(0, BAUD)
    stream = rmc("010203.0") + gga("010203.0")
    eq(len(feed_stream(receiver, stream * 5, 0)), 1)
    eq(receiver.counters()["repeated"], 8)


def test_invalid_sentences_are_counted_by_kind_and_reason() -> None:
    receiver = ReceiverDriver(0, BAUD)
    stream = rmc("256000.0") + gga("010203.0", "x") + gga("010203.0", "y") + b"$GPTXT,*FF\r\n"
    eq(feed_stream(receiver, stream, 0), [])
    counts = receiver.counters()
    eq(counts["refused_RMC_time"], 1)
    eq(counts["refused_GGA_quality"], 2)
    eq(counts["bad_checksum"], 1)


def test_satellites_in_view() -> None:
    receiver = ReceiverDriver(0, BAUD)

    def epoch(second: int, view: bytes) -> "int | None":
        time = "0000%02d.0" % second
        return only_fix(
            feed_stream(receiver, rmc(time) + gga(time) + view, second * 1000000)
        ).visible

    # two signals of one system count once, the larger; other parts of a set do not count again
    signals = (
        line("GBGSV,2,1,05,02,65,233,50,03,71,141,48,05,39,254,44,07,62,180,48,1")
        + line("GBGSV,2,2,05,09,65,233,50,1")
        + line("GBGSV,1,1,02,02,65,233,50,03,71,141,48,B")
        + line("GPGSV,1,1,01,01,65,233,50,1")
    )
    eq(epoch(0, signals), None)
    eq(epoch(1, b""), 6)
    eq(epoch(2, line("GPGSV,1,1,00,,,,,")), 6)
    eq(epoch(3, b""), 0)
    for second in range(4, 13):
        eq(epoch(second, b""), 0)
    eq(epoch(13, b""), None)


def test_fix_that_waited_for_a_binary_frame_has_no_sure_time() -> None:
    receiver = ReceiverDriver(0, BAUD)
    epoch = rmc("010203.0") + gga("010203.0")
    head = b"\xb5\x62\x01\x07\x00\x02"  # a frame of 520 bytes
    eq(feed_stream(receiver, head + epoch + GSV * 2, 1000000), [])
    fixes = feed_stream(receiver, rmc("010204.0") + GSV + gga("010204.0"), 2000000)
    eq([fix.line_overloaded for fix in fixes], [True, False])
    fix = only_fix(feed_stream(receiver, rmc("010205.0") + gga("010205.0"), 3000000))
    eq((fix.line_overloaded, fix.mono_us), (False, 3000000))


def test_unfetched_fixes_are_bounded() -> None:
    receiver = ReceiverDriver(0, BAUD)
    for second in range(20):
        time = "0000%02d.0" % second
        receiver.receive(rmc(time) + gga(time), second * 1000000)
    eq(receiver.counters()["dropped_fixes"], 4)
    fixes = receiver.take_fixes()
    eq(len(fixes), 16)
    eq(fixes[-1].utc_us, DAY_START + 19000000)


def test_invalid_baud() -> None:
    raises(DriverError, ReceiverDriver, 0, 0)
    raises(DriverError, ReceiverDriver, 0, 9600, 0)


def test_noise_never_raises() -> None:
    receiver = ReceiverDriver(0, BAUD)
    seed = 5
    now = 0
    for turn in range(1200):
        stream = bytearray(gga("0102%02d.0" % (turn % 60)) + rmc("0102%02d.0" % (turn % 60)))
        for _ in range(turn % 5):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            stream[(seed >> 8) % len(stream)] = (seed >> 16) & 0xFF
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        cut = (seed >> 8) % len(stream)
        now += 1000000
        receiver.receive(bytes(stream[:cut]), now)
        receiver.receive(bytes(stream[cut:]), now + 100000)
        for fix in receiver.take_fixes():
            assert fix.mono_us <= now + 100000
    assert receiver.counters()["valid_fixes"] > 240
    receiver.take_fixes()
    assert only_fix(feed_stream(receiver, rmc("030000.0") + gga("030000.0"), now)[-1:]).valid
