# SPDX-License-Identifier: Apache-2.0
"""Epochs: sentences of one fix in any order; validity, time, line load, flags."""

from drivers.gnss.epoch import Epoch, EpochDecoder
from drivers.gnss.fix_rules import is_month_end, undo_week_rollover
from drivers.gnss.receiver import ReceiverDriver
from drivers.gnss.sentence_group import SentenceGroup, SentenceGrouper, gsv_set_key
from protocols import calendar
from tests.portable.support.check import eq
from tests.portable.support.nmeatext import POSITION, decode, gga, line, lines, rmc, single_epoch

GSA = "GNGSA,A,3,02,05,,,,,,,,,,,1.6,1.3,0.9,%d"
GPS = lines("GPGSV,2,1,05,01,10,020,30,02,10,020,30,03,10,020,30,04,10,020,30,1",
            "GPGSV,2,2,05,05,10,020,30,1")  # fmt: skip
BDS = lines("GBGSV,1,1,02,02,65,233,50,05,71,141,48,1")
BDS_B2A = lines("GBGSV,1,1,02,02,65,233,50,05,71,141,48,5")
ZDA = "GNZDA,%s,25,11,2026,00,00"
OK = line("GPTXT,01,01,01,ANTENNA OK")


def gll(time: str) -> bytes:
    return line("GNGLL,%s,%s,A,A" % (POSITION, time))


def vtg() -> bytes:
    return line("GNVTG,225.79,T,,M,0.972,N,1.800,K,A")


def gsa_set() -> bytes:
    return lines(GSA % 1, GSA % 4)


def casic(time: str) -> bytes:
    view = gsa_set() + GPS + BDS
    return gga(time) + gll(time) + view + rmc(time) + vtg() + line(ZDA % time) + OK


def unicore(time: str) -> bytes:
    return rmc(time) + gga(time) + gll(time) + gsa_set() + GPS + BDS + BDS_B2A + vtg()


def gsv_first(time: str) -> bytes:
    return GPS + BDS + gga(time) + vtg() + rmc(time) + gsa_set()


def ublox(time: str) -> bytes:
    return rmc(time) + vtg() + gga(time) + gsa_set() + GPS + BDS + gll(time) + line(ZDA % time)


def mixed_precision(time: str) -> bytes:
    return rmc(time + "0") + gga(time) + gsa_set() + GPS + line("GPGST,%s,1,,,,0.3,0.4,0.5" % time)


ORDERS = (casic, unicore, gsv_first, ublox, mixed_precision)


def epoch_times(epochs: "list[Epoch]") -> "list[int | None]":
    return [None if e.time_us is None else e.time_us // 1000000 for e in epochs]


def test_each_sentence_order_gives_one_epoch_per_fix() -> None:
    for order in ORDERS:
        stream = b"".join([order("0000%02d.00" % second) for second in range(6)])
        epochs = decode(stream)
        eq(epoch_times(epochs), list(range(6)))
        for epoch in epochs[1:]:
            eq((epoch.valid, epoch.mode, epoch.flags), (True, 3, ()))
            assert epoch.satellite_view.complete
            eq(epoch.used, 4 if order is not gsv_first else epoch.used)
            eq(epoch.all_flags(), ())
        joined = sum([len(epoch.group.bodies) for epoch in epochs])
        eq(joined, stream.count(b"$"))


def test_chunking_does_not_matter() -> None:
    stream = b"".join([casic("0000%02d.00" % second) for second in range(4)])
    whole = [epoch.group.bodies for epoch in decode(stream)]
    for step in (1, 7, 50, 333):
        receiver = ReceiverDriver(0, 9600, max_epochs=100, timing_valid=False)
        got = []
        for at in range(0, len(stream), step):
            receiver.receive(stream[at : at + step], 0)
            got += receiver.take_epochs()
        got += receiver.finish_stream()
        eq([epoch.group.bodies for epoch in got], whole)


def test_idle_line_closes_epoch() -> None:
    receiver = ReceiverDriver(0, 115200)
    receiver.receive(gsv_first("000001.00"), 1000000)
    eq(receiver.last_epoch(1050000), None)
    epoch = receiver.last_epoch(1100000)
    assert epoch is not None
    eq((epoch.time_us, len(epoch.group.bodies)), (1000000, 8))
    assert receiver.last_epoch(1200000) is epoch
    # without a check, the pause shows with the next bytes
    receiver.receive(gsv_first("000002.00"), 2000000)
    receiver.receive(GPS, 3000000)
    epoch = receiver.last_epoch()
    assert epoch is not None
    eq((epoch.time_us, len(epoch.group.bodies)), (2000000, 8))


def test_repeated_gsv_set_does_not_split_epoch() -> None:
    """Some receivers list a view twice: the next time is equal, so it is one epoch."""
    stream = b"".join([gga(t) + GPS + GPS + rmc(t) for t in ("000001.0", "000002.0")])
    eq(epoch_times(decode(stream)), [1, 2])


def test_gsv_sets_alone_are_split_by_repetition() -> None:
    eq([len(e.group.bodies) for e in decode((GPS + BDS) * 4)], [3, 3, 3, 3])
    eq([e.visible for e in decode((GPS + BDS) * 4)], [7, 7, 7, 7])


def test_receiver_without_time() -> None:
    cold = lines("GNRMC,,V,,,,,,,,,,N,V", "GNGGA,,,,,,0,00,25.5,,,,,,", "GNZDA,,,,,,")
    epochs = decode(cold * 5 + casic("000009.0"))
    eq(epoch_times(epochs), [None] * 5 + [9])
    for epoch in epochs[:5]:
        eq(len(epoch.group.bodies), 3)
        eq((epoch.valid, epoch.mode, epoch.lat_e7, epoch.utc_us), (False, 1, None, None))
        eq(epoch.flags, ("status", "mode", "quality", "no position", "no time"))


def test_gsv_set_spread_over_epochs() -> None:
    parts = GPS.split(b"\r\n")
    stream = b""
    for second in range(8):
        time = "0000%02d.0" % second
        stream += rmc(time) + gga(time) + parts[second % 2] + b"\r\n"
    eq([e.complete for e in decode(stream)], [False, True] * 4)
    eq([e.satellite_view.visible for e in decode(stream)], [4, 5] * 4)


def test_all_fix_sentences_must_agree() -> None:
    good = rmc("000001.0") + gga("000001.0")
    for stream, reasons in (
        (good, ()),
        (rmc("000001.0"), ()),
        (gga("000001.0"), ()),
        (gll("000001.0"), ()),
        (line("GNGNS,000001.0,%s,AANN,8,1,2,3,,,V" % POSITION), ()),
        (line("GPRMC,000001.0,A,%s,0,0,251126,," % POSITION), ()),
        (rmc("000001.0", "V", "N") + gga("000001.0"), ("status", "mode")),
        (rmc("000001.0", "V") + gga("000001.0"), ("status",)),
        (rmc("000001.0") + gga("000001.0", "0"), ("quality",)),
        (rmc("000001.0") + gga("000001.0", "6"), ("quality",)),
        (rmc("000001.0") + gga("000001.0", "8"), ("quality",)),
        (rmc("000001.0", "A", "E") + gga("000001.0"), ("mode",)),
        (rmc("000001.0", "A", "S"), ("mode",)),
        (good + line("GNGNS,000001.0,%s,NNNN,8,1,2,3,,,V" % POSITION), ("mode",)),
        (good + line("GNGNS,000001.0,%s,AE,8,1,2,3,,,V" % POSITION), ("mode",)),
        (good + line("GNGLL,%s,000001.0,V,N" % POSITION), ("status", "mode")),
        (good + line("GNGSA,A,1,,,,,,,,,,,,,9,9,9,1"), ("fix",)),
        (good + line("GNGSA,A,1,,,,,,,,,,,,,9,9,9,2") + gsa_set(), ()),
        (rmc("000001.0", "V", "N") + gsa_set(), ("status", "mode")),
        (line("GNRMC,000001.0,A,,,,,0,0,251126,,,A,V"), ("no position",)),
        (GPS, ("no fix",)),
    ):
        epoch = single_epoch(stream)
        eq((stream, epoch.reasons, epoch.valid), (stream, reasons, not reasons))
        if reasons:
            eq(epoch.mode, 1)


def test_modes() -> None:
    eq(single_epoch(rmc("000001.0")).mode, 2)
    eq(single_epoch(rmc("000001.0") + gga("000001.0")).mode, 3)
    two = line("GNGSA,A,2,02,05,07,,,,,,,,,,1.6,1.3,0.9,1")
    eq(single_epoch(rmc("000001.0") + gga("000001.0") + two).mode, 2)


def test_measurements() -> None:
    epoch = single_epoch(
        rmc("000001.0") + gga("000001.0") + vtg() + line("GPGST,000001.0,1,,,,0.3,0.4,0.5")
        + line("GNGBS,000001.0,1.4,1.3,3.1,03,,-21.4,3.8,1,0") + line("GNDTM,W84,,0,N,0,E,0,W84")
    )  # fmt: skip
    eq((epoch.lat_e7, epoch.lon_e7, epoch.alt_mm), (252083333, 552750000, 12300))
    eq((epoch.quality, epoch.used, epoch.hdop_centi), (1, 16, 70))
    eq((epoch.horizontal_mm, epoch.vertical_mm), (500, 500))
    eq((epoch.speed_mmps, epoch.course_centi, epoch.raim_satellite), (500, 22579, 3))
    eq(epoch.flags, ("raim",))
    eq((epoch.visible, epoch.complete, epoch.all_flags()), (None, False, ("raim",)))
    quectel = single_epoch(rmc("000001.0") + line("PQTMEPE,2,1.000,1.001,2.500,1.415,2.872"))
    eq((quectel.horizontal_mm, quectel.vertical_mm), (1415, 2500))


def decode_utc(stream: bytes) -> "tuple[int | None, tuple[str, ...]]":
    epoch = single_epoch(stream)
    return epoch.utc_us, epoch.flags


def test_invalid_times() -> None:
    good = calendar.utc_from_civil(2026, 11, 25, 1000000)
    eq(decode_utc(rmc("000001.0")), (good, ()))
    eq(decode_utc(gga("000001.0") + line(ZDA % "000001.0")), (good, ()))
    # an impossible date or time is rejected with its sentence
    for stream in (
        rmc("000001.0", "A", "A", "300226"),
        rmc("250000.0"),
        rmc("000061.0"),
        rmc("006001.0"),
        rmc("120060.0"),
        rmc("000001.0", "A", "A", "000026"),
        rmc("000001.0", "A", "A", "011326"),
        line("GNZDA,000001.0,30,02,2026,00,00"),
        line("GNZDA,240000.0,25,11,2026,00,00"),
    ):
        epoch = single_epoch(stream)
        eq((epoch.utc_us, epoch.valid, epoch.flags[-1]), (None, False, "malformed"))
    other = rmc("000001.0") + line("GNZDA,000001.0,26,11,2026,00,00")
    eq(decode_utc(other), (None, ("dates differ",)))
    eq(decode_utc(rmc("000001.0", "A", "A", "")), (None, ("no date",)))


def test_week_rollover() -> None:
    real = calendar.utc_from_civil(2026, 11, 25, 1000000)
    early = calendar.civil_from_utc(real - 1024 * 7 * calendar.DAY)
    date = "%02d%02d%02d" % (early[2], early[1], early[0] % 100)
    eq(decode_utc(rmc("000001.0", "A", "A", date)), (real, ("week rollover",)))
    receiver = ReceiverDriver(0, 9600)
    receiver.receive(rmc("000001.0", "A", "A", date) + gga("000001.0"), 0)
    fix = receiver.take_fixes()[0]
    eq((fix.utc_us, fix.valid, fix.reasons), (real, False, ("week rollover",)))
    # a stored minimum UTC makes it even later, but not a date shortly before the minimum
    years = 3 * 366 * calendar.DAY
    for above, value in ((1, real), (years, real + 1024 * 7 * calendar.DAY)):
        receiver = ReceiverDriver(0, 9600)
        receiver.raise_min_utc(real + above)
        receiver.receive(rmc("000001.0") + gga("000001.0"), 0)
        eq(receiver.take_fixes()[0].utc_us, value)
    eq(
        [undo_week_rollover(5, floor) - 5 for floor in (0, 5, 6, 5 + years)],
        [0, 0, 0, 1024 * 7 * calendar.DAY],
    )


def test_leap_second() -> None:
    stream = rmc("235959.0", "A", "A", "311226") + rmc("235960.0", "A", "A", "311226")
    stream += rmc("000000.0", "A", "A", "010127") + rmc("000001.0", "A", "A", "010127")
    epochs = decode(stream)
    midnight = calendar.utc_from_civil(2027, 1, 1)
    eq([e.utc_us for e in epochs], [midnight - 1000000, midnight, midnight, midnight + 1000000])
    eq([e.in_leap_second for e in epochs], [False, True, False, False])
    eq([e.flags for e in epochs], [(), ("leap second",), (), ()])
    # at 10 Hz, UTC values go back after a leap second; this is not an error
    stream = rmc("235960.9", "A", "A", "311226") + rmc("000000.0", "A", "A", "010127")
    eq([e.flags for e in decode(stream)], [("leap second",), ()])
    # a leap second exists only at the end of a month
    epoch = single_epoch(rmc("235960.0", "A", "A", "251126"))
    eq((epoch.utc_us, epoch.in_leap_second, epoch.flags), (None, False, ("leap second",)))
    eq([is_month_end(2024, 2, day) for day in (28, 29)], [False, True])


def test_midnight_and_steps() -> None:
    stream = rmc("235959.0") + rmc("000000.0", "A", "A", "261126")
    eq([e.flags for e in decode(stream)], [(), ()])
    # the date came 1 s late: one day back
    eq([e.flags for e in decode(rmc("235959.0") + rmc("000000.0"))], [(), ("time back",)])
    receiver = ReceiverDriver(0, 115200, max_epochs=20)
    for second, stated in enumerate((1, 2, 3, 8, 9, 27, 28)):
        receiver.receive(rmc("0000%02d.0" % stated), 1000000 * second + 300000)
    eq([e.flags for e in receiver.take_epochs(99000000)],
       [(), (), (), ("time step",), (), ("time step",), ()])  # fmt: skip


def test_antenna_jamming_and_vendor_persist() -> None:
    stream = rmc("000001.0") + line("GPTXT,01,01,01,ANTENNA OPEN") + line("PAIRSPF,2")
    stream += rmc("000002.0") + rmc("000003.0") + OK + line("PAIRSPF,1")
    epochs = decode(stream)
    eq([e.antenna for e in epochs], ["open", "open", "ok"])
    eq([e.jamming for e in epochs], ["warning", "warning", "ok"])
    eq([e.flags for e in epochs], [("antenna open", "jamming")] * 2 + [()])
    decoder = EpochDecoder()
    burst = SentenceGroup()
    burst.bodies = [b"GPTXT,01,01,02,IC=AT6558F-5N-32-1C580901"]
    decoder.decode(burst)
    eq(decoder.vendor, "casic")
    decoder = EpochDecoder("allystar")
    decoder.decode(burst)
    eq((decoder.vendor, decoder.decoded), ("allystar", 1))


def test_errors_and_differing_positions() -> None:
    epochs = decode(rmc("000001.0") + gga("000001.0")[:30] + rmc("000002.0"))
    eq(epochs[0].flags, ("damaged",))
    far = line("GNGGA,000001.0,2512.6,N,05516.5,E,1,16,0.7,12.3,M,-33.1,M,,")
    eq(single_epoch(rmc("000001.0") + far).flags, ("positions differ",))
    eq(single_epoch(rmc("000001.0") + line("GNDTM,P90,,0,N,0,E,0,W84")).flags, ("datum",))


def test_lost_gsv_set_is_detected_by_previous_epoch() -> None:
    stream = casic("000001.0") + casic("000002.0").replace(b"GBGSV", b"GBGSW") + casic("000003.0")
    eq([e.complete for e in decode(stream)], [True, False, True])
    stream = casic("000001.0") + casic("000002.0").replace(BDS, b"") + casic("000003.0")
    eq([e.complete for e in decode(stream)], [True, True, True])


def test_line_is_overloaded() -> None:
    """At 9600 baud an epoch of 1095 characters takes 1.14 s: the receiver falls behind."""
    receiver = ReceiverDriver(0, 9600, max_epochs=100)
    text = casic("0000%02d.0")
    now = 0
    for second in range(6):
        stream = casic("0000%02d.0" % second)
        stream += line("GPTXT,01,01,02," + "x" * 60) * ((1095 - len(stream)) // 81)
        now += len(stream) * 10 * 1000000 // 9600
        receiver.receive(stream, now)
    epochs = receiver.take_epochs() + receiver.finish_stream()
    eq(len(epochs), 6)
    for epoch in epochs[1:]:
        assert epoch.group.occupancy_permille is not None
        assert 1000 <= epoch.group.occupancy_permille <= 1150, epoch.group.occupancy_permille
        assert "line saturated" in epoch.flags
    assert len(text) < 1095


def test_line_is_not_overloaded() -> None:
    receiver = ReceiverDriver(0, 115200, max_epochs=100)
    for second in range(6):
        receiver.receive(casic("0000%02d.0" % second), second * 1000000)
    for epoch in receiver.take_epochs(99000000)[1:]:
        assert epoch.group.occupancy_permille is not None
        assert 40 <= epoch.group.occupancy_permille <= 80, epoch.group.occupancy_permille
        eq(epoch.flags, ())


def test_overload_without_pause() -> None:
    grouper = SentenceGrouper(100, (10000000, 1000))  # 100 characters a second
    for second in range(6):
        now = second * 1000000
        grouper.mark_arrival(now, now + 920000)
        grouper.add_timed(b"x" * 86, now, now)
    grouper.close()
    bursts = grouper.take_groups()
    eq([b.occupancy_permille for b in bursts], [None] + [920] * 5)
    eq([b.line_saturated for b in bursts], [False, False, False, True, True, True])


def test_gsv_set_keys() -> None:
    for body, key in (
        (b"GPGSV,3,1,11,01", b"GP"),
        (b"GPGSV,3,1,04,01,02,03,04,7", b"GP7"),
        (b"PQGSV,4,1,14,04,,,32,0,4", b"PQ0,4"),
        (b"GPGSV,3,2,11,01", None),
        (b"GPGSV,03,01,11,01", b"GP"),
        (b"GPGSV,11,1,44,01", b"GP"),
        (b"GPGSV,11,11,44,01", None),
        (b"GPGSV,1", None),
        (b"GPGSV", None),
    ):
        whole = body + b",02,003,04" if key is not None and len(key) == 2 else body
        eq((whole, gsv_set_key(whole)), (whole, key))


def test_bounds() -> None:
    receiver = ReceiverDriver(0, 9600, max_epochs=2, timing_valid=False)
    receiver.receive(rmc("000001.0") + line("GPTXT,01,01,02," + "y" * 90) * 1000, 0)
    receiver.receive(rmc("000002.0"), 0)
    epoch = receiver.take_epochs()[0]
    assert sum([len(body) for body in epoch.group.bodies]) < 8192
    assert epoch.group.overflow_count > 900
    assert "lost" in epoch.flags
    receiver.receive(b"".join([rmc("0000%02d.0" % second) for second in range(3, 30)]), 0)
    eq(epoch_times(receiver.take_epochs()), [27, 28])


def test_satellites_are_decoded_on_demand_once() -> None:
    epoch = single_epoch(casic("000001.0"))
    eq(epoch._satellite_view, None)
    view = epoch.satellite_view
    assert epoch.satellite_view is view
    eq((epoch.visible, epoch.used), (7, 4))


def test_noise_never_raises() -> None:
    seed = 11
    stream = bytearray(b"".join([order("0000%02d.00" % s) for s in range(2) for order in ORDERS]))
    for _ in range(len(stream) // 60):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        stream[(seed >> 8) % len(stream)] ^= 1 << (seed & 7)
    for epoch in decode(bytes(stream)):
        assert epoch.used is None or epoch.visible is None or epoch.used <= epoch.visible
        epoch.all_flags()


def test_missing_date_is_carried_over() -> None:
    epochs = decode(gga("235957.00") + rmc("235958.00") + gga("235959.00") + gga("000001.00"))
    texts = [None if e.utc_us is None else calendar.iso8601(e.utc_us) for e in epochs]
    eq(
        texts,
        [
            None,
            "2026-11-25T23:59:58.000Z",
            "2026-11-25T23:59:59.000Z",
            "2026-11-26T00:00:01.000Z",
        ],
    )
    assert [("no date" in e.flags) for e in epochs] == [True, False, True, True]
    late = decode(rmc("120000.00") + gga("121500.00") + gga("115959.00"))
    eq([e.utc_us is None for e in late], [False, True, True])


def test_missing_gsa_holds_mode_for_few_epochs() -> None:
    stream = rmc("120000.00") + gsa_set() + GPS
    for second in range(1, 8):
        stream += rmc("12000%d.00" % second) + GPS
    eq([e.mode for e in decode(stream)], [3, 3, 3, 3, 3, 3, 2, 2])
    eq(decode(rmc("120000.00") + gsa_set() + rmc("120001.00", "V", "N"))[1].mode, 1)


def test_sentence_with_time_replaces_one_without() -> None:
    # the end of an epoch without a fix, then the first fix (Garmin Foretrex, Hemisphere)
    untimed = lines("GPGGA,,,,,,0,,,,,,,,", "GPGLL,,,,,,V,N")
    gll = lines("GNGLL,%s,120000.00,A,A" % POSITION)
    epoch = single_epoch(untimed + gga("120000.00") + gll + rmc("120000.00"))
    eq((epoch.valid, epoch.quality), (True, 1))


def test_unreadable_satellites_are_malformed() -> None:
    receiver = ReceiverDriver(0, 9600, max_epochs=9, timing_valid=False)
    receiver.receive(rmc("120000.00") + line("GPGSV,1,1,01,0x,10,020,30,1"), 0)
    eq(receiver.finish_stream()[0].complete, False)
    decoder = receiver.decoder
    eq((decoder.decoded, decoder.malformed), (1, 1))
