# SPDX-License-Identifier: Apache-2.0
"""An emulated BeiDou and GPS timing receiver: NMEA 0183 sentences, built by pynmea2.

It sends one epoch each UTC second: RMC, GGA, one GSA and the GSVs for each system, ZDA. The epoch
of second S leaves at S + latency + jitter of true UTC, as one piece of bytes; the line adds the
transmission time. Satellite sentences are written again only every few seconds. Does not execute
commands; it counts the bytes. See `receiver` for a receiver with vendor dialects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from random import Random
from time import gmtime
from typing import ClassVar

import pynmea2

from hil.devices.base import MILLISECOND, NEVER, SECOND, FaultTarget, Replies
from hil.devices.gnss.basic_sky import BEIDOU, GPS, BasicSatellite, BasicSky

_SYSTEM_ID = {GPS: "1", BEIDOU: "4"}  # NMEA 4.11, GSA system id
_SIGNAL_ID = "1"  # NMEA 4.11: GPS L1 C/A, BeiDou B1I
_MAX_USED = 12  # satellites in one GSA
_MIN_USED_CN0 = 28  # dBHz, assumed: minimum of a used satellite
_MIN_USED_ELEVATION = 8  # degrees, assumed
_MIN_SATELLITES = 4
_MAX_JITTER_US = 20 * MILLISECOND
_WANDER_E7 = 30  # 0.3 m
_PER_GSV = 4


@dataclass(frozen=True, slots=True)
class NmeaStyle:
    """The sentence style of a receiver.

    `talker` is the talker of RMC, GGA, GSA and ZDA ("GN", or "GB"/"BD" for BeiDou only); `beidou`
    is the talker of BeiDou's GSVs. `extended` adds the ids of NMEA 4.10/4.11. `systems` are the
    received systems, and `max_listed` limits the listed satellites of each.
    """

    talker: str = "GN"
    beidou: str = "GB"
    extended: bool = True
    systems: tuple[str, ...] = (BEIDOU, GPS)
    max_listed: tuple[int, ...] = (16, 12)
    refresh_s: int = 8


class BasicReceiver(FaultTarget):
    """The receiver; implements `EmulatedDevice`. Faults:

    outage            sends nothing
    no_fix            void epochs with empty fields; with `time_without_fix` they have the time
    jam_db            loss of every signal, dB; above about 20 dB the fix is lost
    corrupted_bits    bytes with a flipped bit in each epoch
    time_offset_us    added to the sent time (BDT is +4 s, GPS time +18 s)
    extra_latency_us  added to the latency
    Counters: `epochs`, `commands` (received bytes).
    """

    FAULTS: ClassVar = frozenset(
        (
            "outage",
            "no_fix",
            "time_without_fix",
            "jam_db",
            "corrupted_bits",
            "time_offset_us",
            "extra_latency_us",
        )
    )

    def __init__(
        self,
        site_e7: tuple[int, int],
        utc_of: Callable[[int], int],
        rng: Random,
        latency_us: int = 60 * MILLISECOND,
        jitter_us: int = 2 * MILLISECOND,
        style: NmeaStyle | None = None,
        altitude_m: float = 12.0,
        start_us: int = 0,
    ) -> None:
        """`site_e7`: latitude and longitude in 1e-7 degrees. `utc_of`: monotonic µs to true UTC µs.

        `latency_us` is the minimum delay of an epoch. Jitter is added to it, exponential with mean
        `jitter_us`: NMEA output can be late, but not early.
        """
        self.outage = False
        self.no_fix = False
        self.time_without_fix = False
        self.jam_db = 0.0
        self.corrupted_bits = 0
        self.time_offset_us = 0
        self.extra_latency_us = 0
        self.latency_us = latency_us
        self.jitter_us = jitter_us
        self.epochs = 0
        self.commands = 0
        self.style = style or NmeaStyle()
        self._site = site_e7
        self._utc_of = utc_of
        self._rng = rng
        self._sky = BasicSky(site_e7[0] / 1e7, site_e7[1] / 1e7, rng)
        self._next_second = utc_of(start_us) // SECOND + 1
        self._day = -1
        self._sky_due = -NEVER
        self._sky_loss = 0.0
        self._used_count = 0
        self._sky_sentences = ""
        self._create_sentences(altitude_m)
        self._due = self._send_time(start_us)

    def receive(self, data: bytes, now: int) -> Replies:
        """Count the bytes of commands."""
        self.commands += len(data)
        return []

    def deadline(self) -> int:
        """Return the time at which the next epoch leaves."""
        return self._due

    def wake(self, now: int) -> Replies:
        """Send the epoch that is due; skip missed seconds."""
        if now < self._due:
            return []
        second = self._next_second
        self._next_second = max(second, self._utc_of(now - self.latency_us) // SECOND) + 1
        self._due = max(self._send_time(now), now + 1)
        if self.outage:
            return []
        self.epochs += 1
        data = self._epoch(second * SECOND + self.time_offset_us)
        return [(0, self._flip_bits(data) if self.corrupted_bits else data)]

    def _send_time(self, near_us: int) -> int:
        """Return when the epoch of `_next_second` leaves, monotonic µs; `near_us` is near it."""
        jitter = self._rng.expovariate(1.0 / self.jitter_us) if self.jitter_us else 0.0
        target = self._next_second * SECOND + self.latency_us + self.extra_latency_us
        target += min(int(jitter), _MAX_JITTER_US)
        for _ in range(3):  # the two clocks differ by an offset and a very small drift
            near_us += target - self._utc_of(near_us)
        return near_us

    # Sentences.

    def _create_sentences(self, altitude_m: float) -> None:
        """Create the sentences; each epoch fills them again."""
        t = self.style.talker
        mode = ["A", "V"] if self.style.extended else ["A"]
        rmc = ["", "A", "", "", "", "", "0.00", "", "", "", "", *mode]
        gga = ["", "", "", "", "", "1", "00", "", f"{altitude_m:.1f}", "M", "-32.0", "M", "", ""]
        self._rmc = pynmea2.RMC(t, "RMC", rmc)
        self._gga = pynmea2.GGA(t, "GGA", gga)
        self._zda = pynmea2.ZDA(t, "ZDA", ["", "", "", "", "00", "00"])
        void = ["", "V", "", "", "", "", "", "", "", "", "", "N", "V"][: len(rmc)]
        self._void_rmc = pynmea2.RMC(t, "RMC", void)
        self._void_gga = pynmea2.GGA(
            t, "GGA", ["", "", "", "", "", "0", "00", "99.99", "", "", "", "", "", ""]
        )

    def _epoch(self, utc_us: int) -> bytes:
        """Return the epoch for the time to send."""
        seconds, micros = divmod(utc_us, SECOND)
        day, of_day = divmod(seconds, 86_400)
        if day != self._day:
            self._set_date(day)
        minutes, s = divmod(of_day, 60)
        hours, m = divmod(minutes, 60)
        hms = f"{hours:02d}{m:02d}{s:02d}.{micros // 1000:03d}"
        if (
            seconds >= self._sky_due
            or self.jam_db != self._sky_loss
            or seconds < self._sky_due - 60
        ):
            self._update_sky(seconds)
        if self.no_fix or self._used_count < _MIN_SATELLITES:
            return self._void_epoch(hms)
        self._set_position()
        rmc, gga, zda = self._rmc.data, self._gga.data, self._zda.data
        rmc[0] = gga[0] = zda[0] = hms
        zda[1:4] = self._date
        return (
            f"{self._rmc.render()}\r\n{self._gga.render()}\r\n{self._sky_sentences}{self._zda.render()}\r\n"
        ).encode("ascii")

    def _void_epoch(self, hms: str) -> bytes:
        """Return an epoch without a fix."""
        time, date = (hms, self._date) if self.time_without_fix else ("", ["", "", ""])
        self._void_rmc.data[0] = self._void_gga.data[0] = self._zda.data[0] = time
        self._void_rmc.data[8] = self._rmc.data[8] if self.time_without_fix else ""
        self._zda.data[1:4] = date
        # When jammed, it lists the unusable satellites; with `no_fix` it lists none.
        sky_sentences = self._satellite_sentences([])[0] if self.no_fix else self._sky_sentences
        fix_sentences = f"{self._void_rmc.render()}\r\n{self._void_gga.render()}\r\n"
        return f"{fix_sentences}{sky_sentences}{self._zda.render()}\r\n".encode("ascii")

    def _set_date(self, day: int) -> None:
        date = gmtime(day * 86_400)
        self._day = day
        self._date = [f"{date.tm_mday:02d}", f"{date.tm_mon:02d}", f"{date.tm_year:04d}"]
        self._rmc.data[8] = f"{date.tm_mday:02d}{date.tm_mon:02d}{date.tm_year % 100:02d}"

    def _set_position(self) -> None:
        """Write the position, with a few decimetres of noise."""
        random = self._rng.random
        latitude = self._site[0] + int((random() - 0.5) * 2 * _WANDER_E7)
        longitude = self._site[1] + int((random() - 0.5) * 2 * _WANDER_E7)
        place = [*_format_angle(latitude, 2, "NS"), *_format_angle(longitude, 3, "EW")]
        self._rmc.data[2:6] = place
        self._gga.data[1:5] = place

    def _update_sky(self, seconds: int) -> None:
        """Update the satellites and the sentences that depend on them."""
        self._sky_due = seconds + self.style.refresh_s
        self._sky_loss = self.jam_db
        visible = self._sky.visible(seconds, loss_db=self.jam_db)
        self._sky_sentences, self._used_count = self._satellite_sentences(visible)
        self._gga.data[6] = f"{min(self._used_count, 99):02d}"
        self._gga.data[7] = f"{_hdop(self._used_count):.2f}"

    def _satellite_sentences(self, visible: list[BasicSatellite]) -> tuple[str, int]:
        """Return GSA and GSV sentences of all systems, and the number of used satellites."""
        style = self.style
        by_system = [[s for s in visible if s.system == system] for system in style.systems]
        used = [_used_numbers(satellites) for satellites in by_system]
        total = sum(len(numbers) for numbers in used)
        lines: list[pynmea2.NMEASentence] = []
        for system, numbers in zip(style.systems, used, strict=True):
            lines.append(self._gsa(system, numbers, total))
        for system, satellites, max_count in zip(
            style.systems, by_system, style.max_listed, strict=True
        ):
            lines += self._gsv(system, satellites[:max_count])
        return "".join(line.render() + "\r\n" for line in lines), total

    def _gsa(self, system: str, numbers: list[str], total: int) -> pynmea2.GSA:
        """Return the GSA of one system, with the dilution of precision of the whole fix."""
        fix = "3" if total >= _MIN_SATELLITES else "1"
        hdop = _hdop(total)
        dops = [f"{dop:.2f}" for dop in (1.9 * hdop, hdop, 1.9 * hdop * _VDOP_OF_PDOP)]
        places = numbers + [""] * (_MAX_USED - len(numbers))
        data = ["A", fix, *places, *dops]
        if self.style.extended:
            data.append(_SYSTEM_ID[system])
        return pynmea2.GSA(self.style.talker, "GSA", data)

    def _gsv(self, system: str, satellites: list[BasicSatellite]) -> list[pynmea2.GSV]:
        """Return the satellites in view of one system, four in a sentence."""
        talker = self.style.beidou if system == BEIDOU else "GP"
        parts = max(1, -(-len(satellites) // _PER_GSV))
        lines = []
        for part in range(parts):
            data = [str(parts), str(part + 1), f"{len(satellites):02d}"]
            for s in satellites[part * _PER_GSV : (part + 1) * _PER_GSV]:
                strength = f"{s.cn0:02d}" if s.cn0 else ""
                data += [f"{s.number:02d}", f"{s.elevation:02d}", f"{s.azimuth:03d}", strength]
            if self.style.extended:
                data.append(_SIGNAL_ID)
            lines.append(pynmea2.GSV(talker, "GSV", data))
        return lines

    def _flip_bits(self, data: bytes) -> bytes:
        """Flip one bit in each of `corrupted_bits` bytes."""
        damaged = bytearray(data)
        for _ in range(self.corrupted_bits):
            damaged[self._rng.randrange(len(damaged))] ^= 1 << self._rng.randrange(8)
        return bytes(damaged)


_VDOP_OF_PDOP = 0.85  # sqrt(1 - (1 / 1.9)^2), so that PDOP^2 = HDOP^2 + VDOP^2


def _hdop(used: int) -> float:
    """Return the horizontal dilution of precision by the number of used satellites (assumed)."""
    return 2.6 / sqrt(used) if used else 99.99


def _used_numbers(satellites: list[BasicSatellite]) -> list[str]:
    """Return the numbers of the usable satellites, highest first."""
    usable = [
        satellite
        for satellite in satellites
        if satellite.cn0 >= _MIN_USED_CN0 and satellite.elevation >= _MIN_USED_ELEVATION
    ]
    return [f"{s.number:02d}" for s in usable[:_MAX_USED]]


def _format_angle(e7: int, degree_digits: int, signs: str) -> tuple[str, str]:
    """Return an angle in 1e-7 degrees in NMEA format (d)ddmm.mmmmm, and its letter."""
    whole, rest = divmod(abs(e7), 10_000_000)
    minutes = rest * 60 // 100  # in 1e-5 minutes
    return (
        f"{whole:0{degree_digits}d}{minutes // 100_000:02d}.{minutes % 100_000:05d}",
        signs[e7 < 0],
    )
