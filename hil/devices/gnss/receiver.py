"""An emulated navigation receiver with a real sky, a maker's dialect, commands, and faults.

It has a clock of its own (true time, less what a spoofer does to it), a start (cold, warm, hot), an
antenna, a temperature, and signals that each become weaker or stronger by what happens to them.
Once a period it measures, and the sentences of that instant begin to leave after the dialect's
latency and jitter. Pulses are asked for by whoever carries them (`next_pulse`).

Not here: what sentences look like (`gnss_sentences`), what commands mean (`gnss_commands`), the
line. `hil.devices.gnss.basic_receiver` is the plain one: quicker, without dialects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import cos, radians
from random import Random

from hil.devices.base import MILLISECOND, NEVER, SECOND, FaultTarget, Replies
from hil.devices.gnss.dialects import Dialect
from hil.devices.gnss.sentences import EpochReport, ListedSatellite, SentenceWriter, sentence
from hil.devices.gnss.sky import SkyModel, SkySatellite

COLD, WARM, HOT = 0, 1, 2
LEAP_WAIT_S = 750
"""Leap seconds are sent once in 12.5 minutes (GPS subframe 4, page 18)."""
_DAY_S = 86_400
WEEK_S = 7 * _DAY_S

_REFRESH_S = 16  # in which no satellite moves by more than a fifth of a degree
_MIN_USED_CN0 = 28  # dBHz, assumed: below it a satellite is not used
_MIN_TRACKED_CN0 = 18  # dBHz, assumed: below it it is not tracked
_MIN_USED_ELEVATION = 8
_MULTI_SIGNAL_DEG = 15  # below it only the first signal: gpsd 3.25 takes 140 entries at most
_MIN_FIX_2D, _MIN_FIX_3D = 3, 4
_ROOM_C = 25.0
_HEAT_DB_PER_C = 0.03  # noise figure of the amplifier: 0.017 to 0.032 dB/K, Septentrio's figures
_NO_ANTENNA_DB = 60.0
_WARNING_DB, _CRITICAL_DB = 6.0, 15.0
_MAX_JITTER = 8  # times the mean
_WANDER_M, _WANDER_CORRELATION = 0.5, 0.98  # of the position: spread, and how much of it stays
_E9_PER_M = 8_993.2  # 1e-9 degrees of latitude
_BAUD_DELAY_US = 50 * MILLISECOND


class GnssReceiver(FaultTarget):
    """The receiver; a `Device`. Faults, plain attributes that may change at any time:

    outage          says nothing
    no_fix          finds no fix (`time_without_fix`: but prints the time)
    corrupt         bits flipped in each epoch
    extra_us        added to the latency
    label_us        added to the time that it prints; its seconds begin where they did
    drag_ns_s       its clock gains so many nanoseconds a second: sentences and pulses move
    moved_m         the place it finds is off by (north, east) metres
    jam_db, jam_db_s   all signals weaker; by so much more each second (`jam` sets both)
    equal_dbhz      every signal has this C/N0 (None: its own)
    antenna         "ok", "open", "short"
    temperature_c   of amplifier and receiver
    desense_db      loss by a transmitter beside the antenna; burst_db, what a burst of it costs
    leaps           Unix times of midnights before which there is a 23:59:60
    leap_error_s    what the label is off while the leap seconds are not known
    deaf            commands are acknowledged and not obeyed
    Counters: `epochs`, `commands` (understood), `ignored` (bytes of others).
    """

    FAULTS = frozenset(
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
        """`utc_of`: monotonic µs to true time, which counts no leap seconds, as Unix µs."""
        self.outage = self.no_fix = self.time_without_fix = self.ignores_commands = False
        self.corrupted_bits = self.extra_latency_us = self.time_offset_us = 0
        self.position_error_m = (0.0, 0.0)
        self.uniform_cn0: float | None = None
        self.antenna = "ok"
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
        self._clock_error = (0, 0, 0)  # since (monotonic), gained until then (ns), ns a second
        self._jam = (0, 0.0, 0.0)  # since, dB, dB a second
        self._pending: list[str] = []
        self._reported_antenna = "ok"
        self._first_fix_s = self._leap_known_s = -NEVER
        self._next_epoch = -(-utc_of(start_us) // self.period_us) * self.period_us
        self._due = self._send_time(start_us)

    # Time.

    def time(self, now: int) -> int:
        """The receiver's own time: true time and what a spoofer has added, Unix µs."""
        since, gained, rate = self._clock_error
        return self._utc_of(now) + (gained + rate * (now - since) // SECOND) // 1000

    def set_clock_drift(self, ns_s: int, now: int) -> None:
        """Let its clock gain `ns_s` nanoseconds a second from now on; what was gained stays."""
        since, gained, rate = self._clock_error
        self._clock_error = (now, gained + rate * (now - since) // SECOND, ns_s)

    def step_clock(self, ns: int, now: int) -> None:
        """Set its clock forward by `ns` nanoseconds at once (less than 0: back)."""
        since, gained, rate = self._clock_error
        self._clock_error = (now, gained + rate * (now - since) // SECOND + ns, rate)

    def clear_clock_error(self, now: int) -> None:
        """End a spoofing: its clock is true again at once."""
        self._clock_error = (now, 0, 0)

    def _monotonic_at(self, target: int, near: int) -> int:
        """When the receiver's time is `target`, monotonic µs, from a moment close to it."""
        for _ in range(3):
            near += target - self.time(near)
        return near

    def next_pulse(self, now: int) -> int:
        """When its next second begins, monotonic µs."""
        return self._monotonic_at((self.time(now + 1_000) // SECOND + 1) * SECOND, now)

    @property
    def pulsing(self) -> bool:
        """Whether pulses come out: only with a fix."""
        return (self.has_fix or self.pulses_without_fix) and not self.outage

    def _send_time(self, near: int) -> int:
        """When the epoch of `_next_epoch` leaves."""
        mean = self.dialect.jitter_us
        jitter = min(int(self._rng.expovariate(1.0 / mean)), _MAX_JITTER * mean) if mean else 0
        latency = self.dialect.latency_us + self.extra_latency_us + jitter
        return self._monotonic_at(self._next_epoch, near) + latency

    # Faults that have a history.

    def jam(self, db: float, db_s: float, now: int) -> None:
        """Weaken all signals by `db` now, and by `db_s` more each second."""
        self._jam = (now, db, db_s)

    def jam_db(self, now: int) -> float:
        """By how much they are weakened now."""
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
        """Count bytes that were not a command."""
        self.ignored += count

    def restart(self, kind: int, now: int) -> None:
        """Start anew: `COLD`, `WARM` or `HOT`. After a cold one leap seconds are not known."""
        second = self.time(now) // SECOND
        self._first_fix_s = second + self.dialect.first_fix_s[kind]
        if kind == COLD:
            self._leap_known_s = self._first_fix_s + LEAP_WAIT_S
        self.has_fix = False
        self._pending += [f"GPTXT,01,01,02,{text}" for text in self.dialect.banner]

    def baud(self, now: int) -> int:
        """The speed at which it talks and listens now."""
        if self._next_baud is not None and now >= self._next_baud[0]:
            self._baud = self._next_baud[1]
            self._next_baud = None
        return self._baud

    def change_baud(self, baud: int, now: int) -> None:
        """Talk at another speed, when the answer to the command is out."""
        self._next_baud = (now + _BAUD_DELAY_US, baud)

    def select_systems(self, systems: list[str]) -> None:
        """Receive these systems, in the dialect's order."""
        known = list(self.dialect.signals)
        self.systems = sorted(systems, key=known.index)

    def change_period(self, period_us: int, now: int) -> None:
        """Measure every `period_us` from the next whole second on."""
        self.period_us = period_us
        self._next_epoch = (self.time(now) // SECOND + 1) * SECOND
        self._due = self._send_time(now)

    # The device.

    def receive(self, data: bytes, now: int) -> Replies:
        """Take bytes; commands are obeyed, unless it is deaf."""
        if self._commands is None:
            self.ignored += len(data)
            return []
        answers = self._commands(self, data, now)
        return [] if self.outage else [(5 * MILLISECOND, answer) for answer in answers]

    def deadline(self) -> int:
        """When the next epoch leaves."""
        return self._due

    def wake(self, now: int) -> Replies:
        """Send the epoch that is due; instants missed meanwhile are not made up for."""
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
        text = self._epoch(instant, now)
        return [(0, self._flip_bits(text.encode("ascii")))] if text else []

    def _epoch(self, instant: int, now: int) -> str:
        report = self._report(instant, now)
        kinds = [k for k in self.dialect.order if self._is_due(k)]
        kinds += [k for k in self.rate_divisors if k not in self.dialect.order and self._is_due(k)]
        if self.antenna != self._reported_antenna and self.dialect.reports == "ublox":
            kinds = ["ANT", *kinds]  # these makers say it once, when it changes
        self._reported_antenna = self.antenna
        head = "".join([sentence(body) for body in self._pending])
        self._pending = []
        return head + self._writer.write(report, kinds, self.systems)

    def _is_due(self, kind: str) -> bool:
        divisor = self.rate_divisors.get(kind, 0)
        return divisor > 0 and self.epochs % divisor == 0

    def _report(self, instant: int, now: int) -> EpochReport:
        """What it knows of the instant."""
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
        """The time to print, and whether it is a leap second."""
        utc_us = instant + self.time_offset_us
        if instant // SECOND < self._leap_known_s:
            return utc_us + self.leap_error_s * SECOND, False
        for midnight in self.leap_midnights:
            if utc_us >= midnight * SECOND:
                utc_us -= SECOND
                if utc_us < midnight * SECOND:  # the second that was put in
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
        """What it hears of each satellite in view."""
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
        """Whether it tracks already, though it has no fix yet: in the last half of the start."""
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
    """The dialect with another least latency and mean jitter, and no USB adapter."""
    return replace(dialect, latency_us=latency_us, jitter_us=jitter_us, usb_us=0)
