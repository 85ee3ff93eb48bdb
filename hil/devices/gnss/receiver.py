# SPDX-License-Identifier: Apache-2.0
"""An emulated GNSS receiver with real orbits, a vendor dialect, commands and faults.

It has its own clock (true time plus the effect of a spoofer), cold, warm and hot starts, an
antenna, a temperature, and a strength for each signal. It measures once a period. The sentences of
that instant leave after the latency and jitter of the dialect. The pulse output asks for the next
pulse (`next_pulse`).

Does not format sentences (see `sentences`), interpret commands (see `commands`) or model the line
(see `hil.io.receiver_line`). `basic_receiver` is faster and has no dialects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import cos, radians
from random import Random
from typing import ClassVar

from hil.devices.base import MILLISECOND, NEVER, SECOND, FaultTarget, Replies
from hil.devices.gnss.dialects import Dialect
from hil.devices.gnss.sentences import EpochReport, ListedSatellite, SentenceWriter, sentence
from hil.devices.gnss.sky import SkyModel, SkySatellite
from hil.devices.gnss.timing import TimingSettings
from hil.devices.gnss.ublox_reports import reports

COLD, WARM, HOT = 0, 1, 2
LEAP_WAIT_S = 750
"""Leap seconds are sent once in 12.5 minutes (GPS subframe 4, page 18)."""
_DAY_S = 86_400
WEEK_S = 7 * _DAY_S

_REFRESH_S = 16  # satellites move by less than 0.2 degrees in this time
_MIN_USED_CN0 = 28  # dBHz, assumed: minimum of a used satellite
_MIN_TRACKED_CN0 = 18  # dBHz, assumed: minimum of a tracked satellite
_MIN_USED_ELEVATION = 8
_MULTI_SIGNAL_DEG = 15  # below it only the first signal: gpsd 3.25 accepts 140 entries at most
_MIN_FIX_2D, _MIN_FIX_3D = 3, 4
_ROOM_C = 25.0
_HEAT_DB_PER_C = 0.03  # noise figure of the amplifier: 0.017 to 0.032 dB/K, Septentrio's figures
_NO_ANTENNA_DB = 60.0
_WARNING_DB, _CRITICAL_DB = 6.0, 15.0
_MAX_JITTER = 8  # multiple of the mean
# of the position: spread, and correlation from epoch to epoch
_WANDER_M, _WANDER_CORRELATION = 0.5, 0.98
_E9_PER_M = 8_993.2  # 1e-9 degrees of latitude
_BAUD_DELAY_US = 50 * MILLISECOND


class GnssReceiver(FaultTarget):
    """The receiver; implements `EmulatedDevice`. Faults:

    outage            sends nothing
    no_fix            has no fix; with `time_without_fix` it sends the time
    corrupted_bits    bytes with a flipped bit in each epoch
    extra_latency_us  added to the latency
    time_offset_us    added to the sent time; the beginning of its seconds does not move
    position_error_m  error of the position, (north, east) in metres
    uniform_cn0       C/N0 of every signal, dBHz; None: its own
    antenna           "ok", "open", "short"
    temperature_c     temperature of amplifier and receiver
    leap_error_s      error of the sent time while the leap seconds are unknown
    ignores_commands  commands are acknowledged without effect
    set_clock_drift, step_clock   error of the clock: sentences and pulses move
    jam               loss of all signals, dB, and its increase, dB/s
    start_bursts      loss during each burst of a transmitter beside the antenna, dB
    insert_leap_second   a 23:59:60 before the next midnight
    Counters: `epochs`, `commands` (executed), `ignored` (bytes outside commands).
    """

    FAULTS: ClassVar = frozenset(
        (
            "outage",
            "no_fix",
            "time_without_fix",
            "corrupted_bits",
            "extra_latency_us",
            "time_offset_us",
            "position_error_m",
            "uniform_cn0",
            "antenna",
            "spoofing",
            "temperature_c",
            "leap_error_s",
            "ignores_commands",
        )
    )

    def __init__(
        self,
        site_e7: tuple[int, int],
        utc_of: Callable[[int], int],
        rng: Random,
        dialect: Dialect,
        *,
        baud: int | None = None,
        altitude_m: float = 12.0,
        start_us: int = 0,
        commands: Callable[[GnssReceiver, bytes, int], list[bytes]] | None = None,
    ) -> None:
        """`utc_of`: monotonic µs to true time without leap seconds, as Unix µs."""
        self.outage = self.no_fix = self.time_without_fix = self.ignores_commands = False
        self.corrupted_bits = self.extra_latency_us = self.time_offset_us = 0
        self.position_error_m = (0.0, 0.0)
        self.uniform_cn0: float | None = None
        self.antenna = self.spoofing = "ok"
        self.reports: set[tuple[int, int]] = set()
        self.sends_ubx = True  # on its port; as delivered, a u-blox receiver does
        self.timing = TimingSettings()
        self.temperature_c = _ROOM_C
        self.desense_db = self.burst_db = 0.0
        self.leap_midnights: list[int] = []
        self.leap_error_s = 0
        self.epochs = self.commands = self.ignored = 0
        self.dialect = dialect
        self.systems = list(dialect.systems)
        self.rate_divisors = dict.fromkeys(dialect.order, 1)
        self.period_us = SECOND
        self.pulses_without_fix = False
        self.has_fix = False
        self._baud = baud or dialect.baud
        self._next_baud: tuple[int, int] | None = None
        self._commands = commands
        self._utc_of = utc_of
        self._rng = rng
        self._sky = SkyModel(site_e7[0] / 1e7, site_e7[1] / 1e7, rng, altitude_m - 32.0)
        self._view: list[SkySatellite] = []
        self._view_due = -NEVER
        self._writer = SentenceWriter(dialect)
        self._site_e9 = (site_e7[0] * 100, site_e7[1] * 100)
        self._east_e9 = _E9_PER_M / cos(radians(site_e7[0] / 1e7))
        self._altitude_m = altitude_m
        self._wander = [0.0, 0.0]
        self._clock_error = (0, 0, 0)  # since (monotonic µs), gained until then (ns), rate (ns/s)
        self._jam = (0, 0.0, 0.0)  # since (µs), dB, dB/s
        self._pending: list[str] = []
        self._reported_antenna = "ok"
        self._first_fix_s = self._leap_known_s = -NEVER
        self._next_epoch = -(-utc_of(start_us) // self.period_us) * self.period_us
        self._due = self._send_time(start_us)

    # Time.

    def time(self, now: int) -> int:
        """Return the receiver's own time: true time plus the effect of a spoofer, Unix µs."""
        since, gained, rate = self._clock_error
        return self._utc_of(now) + (gained + rate * (now - since) // SECOND) // 1000

    def set_clock_drift(self, ns_s: int, now: int) -> None:
        """Let the clock gain `ns_s` ns/s from now on; the gain so far remains."""
        since, gained, rate = self._clock_error
        self._clock_error = (now, gained + rate * (now - since) // SECOND, ns_s)

    def step_clock(self, ns: int, now: int) -> None:
        """Step the clock by `ns` nanoseconds (negative: back)."""
        since, gained, rate = self._clock_error
        self._clock_error = (now, gained + rate * (now - since) // SECOND + ns, rate)

    def clear_clock_error(self, now: int) -> None:
        """End the spoofing: the clock is correct immediately."""
        self._clock_error = (now, 0, 0)

    def _monotonic_at(self, target: int, near: int) -> int:
        """Return when the receiver's time is `target`, monotonic µs; `near` is a time near it."""
        for _ in range(3):
            near += target - self.time(near)
        return near

    def next_pulse(self, now: int) -> int:
        """Return the beginning of the receiver's next second, monotonic µs."""
        return self._monotonic_at((self.time(now + 1_000) // SECOND + 1) * SECOND, now)

    @property
    def pulsing(self) -> bool:
        """Whether pulses are sent: only with a fix."""
        return (self.has_fix or self.pulses_without_fix) and not self.outage

    def _send_time(self, near: int) -> int:
        """Return the time at which the epoch of `_next_epoch` leaves, monotonic µs."""
        mean = self.dialect.jitter_us
        jitter = min(int(self._rng.expovariate(1.0 / mean)), _MAX_JITTER * mean) if mean else 0
        latency = self.dialect.latency_us + self.extra_latency_us + jitter
        return self._monotonic_at(self._next_epoch, near) + latency

    # Faults with a history.

    def jam(self, db: float, db_s: float, now: int) -> None:
        """Weaken all signals by `db` dB now, and by `db_s` dB/s from now on."""
        self._jam = (now, db, db_s)

    def jam_db(self, now: int) -> float:
        """Return the present loss by jamming, dB; at most 80 dB."""
        since, db, db_s = self._jam
        return min(80.0, db + db_s * (now - since) / SECOND)

    def start_bursts(self, db: float) -> None:
        """Set the loss by each burst of a transmitter beside the antenna, dB."""
        self.burst_db = db

    def stop_bursts(self) -> None:
        """End the bursts of the transmitter."""
        self.burst_db = self.desense_db = 0.0

    def set_transmitting(self, on: bool) -> None:
        """Begin or end one burst of the transmitter beside the antenna."""
        self.desense_db = self.burst_db if on else 0.0

    def insert_leap_second(self, now: int) -> None:
        """Insert a leap second before the next midnight of the receiver's own time."""
        self.leap_midnights.append((self.time(now) // (_DAY_S * SECOND) + 1) * _DAY_S)

    def count_command(self) -> None:
        """Count a command that was understood."""
        self.commands += 1

    def count_ignored(self, count: int) -> None:
        """Count bytes outside commands."""
        self.ignored += count

    def restart(self, kind: int, now: int) -> None:
        """Restart: `COLD`, `WARM` or `HOT`. After a cold start the leap seconds are unknown."""
        second = self.time(now) // SECOND
        self._first_fix_s = second + self.dialect.first_fix_s[kind]
        if kind == COLD:
            self._leap_known_s = self._first_fix_s + LEAP_WAIT_S
        self.has_fix = False
        self._pending += [f"GPTXT,01,01,02,{text}" for text in self.dialect.banner]

    def baud(self, now: int) -> int:
        """Return the present speed of the receiver's port, baud."""
        if self._next_baud is not None and now >= self._next_baud[0]:
            self._baud = self._next_baud[1]
            self._next_baud = None
        return self._baud

    def change_baud(self, baud: int, now: int) -> None:
        """Change the speed of the port after the reply to the command."""
        self._next_baud = (now + _BAUD_DELAY_US, baud)

    def select_systems(self, systems: list[str]) -> None:
        """Receive these systems, in the order of the dialect."""
        known = list(self.dialect.signals)
        self.systems = sorted(systems, key=known.index)

    def change_period(self, period_us: int, now: int) -> None:
        """Measure every `period_us` from the next whole second."""
        self.period_us = period_us
        self._next_epoch = (self.time(now) // SECOND + 1) * SECOND
        self._due = self._send_time(now)

    # Device interface.

    def receive(self, data: bytes, now: int) -> Replies:
        """Process bytes; execute commands unless `ignores_commands` is set."""
        if self._commands is None:
            self.ignored += len(data)
            return []
        answers = self._commands(self, data, now)
        return [] if self.outage else [(5 * MILLISECOND, answer) for answer in answers]

    def deadline(self) -> int:
        """Return the time at which the next epoch leaves."""
        return self._due

    def wake(self, now: int) -> Replies:
        """Send the epoch that is due; skip missed instants."""
        if now < self._due:
            return []
        instant = self._next_epoch
        latest = self.time(now - self.dialect.latency_us) // self.period_us * self.period_us
        self._next_epoch = max(instant, latest) + self.period_us
        self._due = max(self._send_time(now), now + 1)
        if self.outage:
            self.has_fix = False
            return []
        self.epochs += 1
        data = self._epoch(instant, now).encode("ascii")
        if self.reports:
            data += reports(self, instant, self._jamming_state(now))
        return [(0, self._flip_bits(data))] if data else []

    def _epoch(self, instant: int, now: int) -> str:
        report = self._report(instant, now)
        kinds = [k for k in self.dialect.order if self._is_due(k)]
        kinds += [k for k in self.rate_divisors if k not in self.dialect.order and self._is_due(k)]
        if self.antenna != self._reported_antenna and self.dialect.reports == "ublox":
            kinds = ["ANT", *kinds]  # these vendors report a change once
        self._reported_antenna = self.antenna
        head = "".join([sentence(body) for body in self._pending])
        self._pending = []
        return head + self._writer.write(report, kinds, self.systems)

    def knows_leap(self, instant: int) -> bool:
        """Return whether the leap seconds have come from a satellite."""
        return instant // SECOND >= self._leap_known_s

    def request_report(self, kind: tuple[int, int], wanted: bool) -> None:
        """Send a report of `hil.devices.gnss.ublox_reports` with each epoch, or no more."""
        self.reports = self.reports | {kind} if wanted else self.reports - {kind}

    def _is_due(self, kind: str) -> bool:
        divisor = self.rate_divisors.get(kind, 0)
        return divisor > 0 and self.epochs % divisor == 0

    def _report(self, instant: int, now: int) -> EpochReport:
        """Return the report for the instant."""
        second = instant // SECOND
        satellites = self._observe_satellites(second, instant / SECOND, now)
        ready = second >= self._first_fix_s and not self.no_fix
        used = sum(satellite.used for satellite in satellites)
        fix = 1 if not ready or used < _MIN_FIX_2D else 2 if used < _MIN_FIX_3D else 3
        self.has_fix = fix > 1
        utc_us, leap = self._printed_utc(instant)
        return EpochReport(
            utc_us,
            leap,
            self.has_fix
            or self.time_without_fix
            or (not self.no_fix and second >= self._first_fix_s),
            fix,
            self._position(),
            self._altitude_m,
            satellites,
            self.antenna,
            self._jamming_state(now),
            1.2 if fix > 1 else 99.0,
        )

    def _jamming_state(self, now: int) -> str:
        db = self.jam_db(now)
        return "critical" if db >= _CRITICAL_DB else "warning" if db >= _WARNING_DB else "ok"

    def _printed_utc(self, instant: int) -> tuple[int, bool]:
        """Return the time to send, and whether it is a leap second."""
        utc_us = instant + self.time_offset_us
        if instant // SECOND < self._leap_known_s:
            return utc_us + self.leap_error_s * SECOND, False
        for midnight in self.leap_midnights:
            if utc_us >= midnight * SECOND:
                utc_us -= SECOND
                if utc_us < midnight * SECOND:  # the inserted second
                    return utc_us, True
        return utc_us, False

    def _position(self) -> tuple[int, int]:
        gauss = self._rng.gauss
        for axis in (0, 1):
            self._wander[axis] = self._wander[axis] * _WANDER_CORRELATION + gauss(
                0.0, _WANDER_M * (1 - _WANDER_CORRELATION**2) ** 0.5
            )
        north, east = (
            self._wander[0] + self.position_error_m[0],
            self._wander[1] + self.position_error_m[1],
        )
        return (
            self._site_e9[0] + int(north * _E9_PER_M),
            self._site_e9[1] + int(east * self._east_e9),
        )

    # Signals.

    def _observe_satellites(self, second: int, exact: float, now: int) -> list[ListedSatellite]:
        """Return the observation of each satellite in view."""
        if second >= self._view_due or second < self._view_due - 2 * _REFRESH_S:
            self._view = self._sky.satellites_in_view(second)
            self._view_due = second + _REFRESH_S
        self._sky.update_cn0(self._view, exact)
        loss = self.jam_db(now) + self.desense_db
        loss += _HEAT_DB_PER_C * (self.temperature_c - _ROOM_C)
        loss += _NO_ANTENNA_DB if self.antenna != "ok" else 0.0
        acquiring = second < self._first_fix_s and not self._is_tracking(second)
        systems = self.systems
        return [
            self._observe_satellite(satellite, 99.0 if acquiring else loss)
            for satellite in self._view
            if satellite.system in systems
        ]

    def _is_tracking(self, second: int) -> bool:
        """Return whether the receiver tracks before its fix: in the last part of a start."""
        return second >= self._first_fix_s - self.dialect.first_fix_s[HOT] - 5

    def _observe_satellite(self, satellite: SkySatellite, loss: float) -> ListedSatellite:
        gauss = self._rng.gauss
        strengths = {}
        best = 0
        for index, (signal, db, (first, last)) in enumerate(self.dialect.signals[satellite.system]):
            if not first <= satellite.number <= last or (
                index and satellite.elevation < _MULTI_SIGNAL_DEG
            ):
                continue
            level = (
                satellite.cn0 + db
                if self.uniform_cn0 is None
                else self.uniform_cn0 + gauss(0.0, 0.2)
            )
            strength = round(level - loss)
            strengths[signal] = strength if strength >= _MIN_TRACKED_CN0 else 0
            best = max(best, strengths[signal])
        elevation = round(satellite.elevation)
        used = best >= _MIN_USED_CN0 and elevation >= _MIN_USED_ELEVATION
        return ListedSatellite(
            satellite.system,
            satellite.number,
            elevation,
            round(satellite.azimuth) % 360,
            used,
            strengths,
        )

    def _flip_bits(self, data: bytes) -> bytes:
        """Flip one bit in each of `corrupted_bits` bytes."""
        if not self.corrupted_bits:
            return data
        damaged = bytearray(data)
        for _ in range(self.corrupted_bits):
            damaged[self._rng.randrange(len(damaged))] ^= 1 << self._rng.randrange(8)
        return bytes(damaged)


def with_timing(dialect: Dialect, latency_us: int, jitter_us: int) -> Dialect:
    """Return the dialect with another minimum latency and mean jitter, without a USB adapter."""
    return replace(dialect, latency_us=latency_us, jitter_us=jitter_us, usb_us=0)
