# SPDX-License-Identifier: Apache-2.0
"""Component `integrity`: checks each epoch of the receiver and reports failed checks.

Does not make the checks of the clock (step, rate, pulse, floor, position), which every agent has;
see `agent.clock.utc_clock`.

This component decodes all satellites of an epoch, which costs a board 12 KiB. Its checks are
detectors. While two or more detectors are active, the clock accepts no fix. Each detector and each
advisory has an alarm and adds its evidence to that of the clock.

An epoch during a transmission is marked and not used for signal strengths; see
`agent.gnss.tx_coexistence`. An epoch with an incomplete GSV set is not used either.
"""

from agent.clock.leap_second import LEAP_S
from agent.core.component.base import Component
from agent.core.json_writer import JsonObject
from agent.fieldbus.sensor import PointSensor, centi_or_none
from agent.gnss.constellation_check import ConstellationCheck
from agent.gnss.detectors import ADVISORIES, DETECTORS, DetectorSet
from agent.gnss.gain_check import GainCheck
from agent.gnss.signal_check import SignalCheck, mean_of_strongest
from agent.gnss.tx_coexistence import TxCoexistence
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.clock.clock_context import ClockContext
    from drivers.gnss.epoch import Epoch

_SILENCE_LIMIT_US = 10 * SECOND
_DECODE_PERIOD_US = 700 * MILLISECOND
"""Shortest time between two decoded epochs. A board cannot decode ten epochs a second, and signal
strengths change slowly."""
_STARTUP_US = 120 * SECOND
"""Time after a start before a missing fix or a large error bound is reported."""
_LEAP_SECOND_US = 1_680 * SECOND
_ADVISORY_CLEAR = 5
_LEAP_EPOCHS = 10


class IntegrityComponent(Component):
    """The component; see the module."""

    PROVIDES = ("coexistence",)
    agent: "ClockContext"

    def __init__(self, agent: "ClockContext", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        evidence_log = agent.clock.evidence_log
        self.detectors = DetectorSet(evidence_log)
        self.advisories = DetectorSet(evidence_log, clear_count=_ADVISORY_CLEAR)
        self.signal_check = SignalCheck(self.detectors)
        self.constellation_check = ConstellationCheck(self.detectors)
        self.gain_check = GainCheck(self.detectors)
        self._cw_level: int | None = None
        self._authenticated: bool | None = None
        self.coexistence = TxCoexistence(settings["tx_wait_s"] * SECOND)
        self.epochs = 0
        self._antenna: str | None = None
        self._leap_s: int | None = None
        self._leap_count = self._leap_steps = 0
        self._bound_us: int = settings["bound_ms"] * MILLISECOND
        self._desense_cdb: int = settings["desense_db"] * 100
        self._sensor: PointSensor | None = None
        self._last_epoch = self._last_fix = self._started = 0
        self._due = 0
        self._last_decode = -_DECODE_PERIOD_US
        self._reported: list[str] = []
        # Created now: on a small board a running agent has no memory left to load it.
        self._decoder = None if agent.receiver is None else agent.receiver.decoder

    def start(self, now: int) -> None:
        """Start; find the sensor."""
        self._last_epoch = self._last_fix = self._started = now
        source = self.settings.get("temperature")
        if source is not None:
            device, _, point = source.partition(".")
            session = self.agent.fieldbus.session(device)
            self._sensor = PointSensor(session, point, self.agent.config.stale_us)

    def tick(self, now: int) -> None:
        """Check the new epochs, and once a second the time-outs."""
        receiver = self.agent.receiver
        if receiver is not None:
            for epoch in receiver.take_epochs(now):
                self._check_epoch(epoch, now)
        if now >= self._due:
            self._due = now + SECOND
            self._check_timeouts(now)
            self._update_alarms(now)

    def _check_epoch(self, epoch: "Epoch", now: int) -> None:
        self.epochs += 1
        self._last_epoch = now
        if epoch.valid:
            self._last_fix = now
        self._antenna, self._cw_level = epoch.antenna, epoch.cw_level
        self._authenticated = epoch.authenticated
        decoder = self._decoder
        self.gain_check.add_epoch(epoch.gain, None if decoder is None else decoder.vendor, now)
        self.detectors.report_receiver(epoch, now)
        self._check_leap(epoch.leap_s if epoch.valid else None, now)
        permille = epoch.group.occupancy_permille or 0
        self.advisories.report("line_saturated", epoch.group.line_saturated, now, permille, 900)
        self._decode_satellites(epoch, now)
        failed = len(self.detectors.active) if self.detectors.integrity_failed() else 0
        self.agent.clock.set_failed_signals(failed)
        self._update_alarms(now)

    def _check_leap(self, leap_s: "int | None", now: int) -> None:
        """End the uncertainty of the leap seconds, if the receiver has them from satellites.

        It must state them in `_LEAP_EPOCHS` epochs in a row, while the clock accepts all fixes and
        makes no step. Fewer leap seconds than those of the release are false.
        """
        clock = self.agent.clock
        steps = clock.rejected + clock.whole_second_steps
        is_same = (leap_s, steps) == (self._leap_s, self._leap_steps)
        self._leap_s, self._leap_steps = leap_s, steps
        self._leap_count = self._leap_count + 1 if is_same and leap_s is not None else 0
        if leap_s is None or leap_s < LEAP_S or self._leap_count < _LEAP_EPOCHS:
            return
        if clock.state(now) != "sync":
            return
        if clock.leap.uncertain:
            clock.leap.set_leap_s(leap_s)
            clock.leap.set_known()
        clock.leap.state_leap_s(leap_s, clock.utc(now) or 0)

    def _decode_satellites(self, epoch: "Epoch", now: int) -> None:
        """Check the signal strengths, or measure the effect of a transmission on them."""
        if now - self._last_decode < _DECODE_PERIOD_US:
            return
        view = epoch.satellite_view
        if not view.has_gsv or not view.complete:
            return
        self._last_decode = now
        cn0 = [signal[2] for satellite in view.satellites for signal in satellite.signals]
        if self.coexistence.is_tx_affected(epoch.mono_us):
            self.coexistence.add_tx_epoch(mean_of_strongest(cn0), self.signal_check.usual_level())
            desense = self.coexistence.desense_centi_db()
            self.advisories.report(
                "desense", desense >= self._desense_cdb, now, desense, self._desense_cdb
            )
            return
        self.signal_check.set_temperature(self._temperature(now))
        self.signal_check.add_epoch(cn0, now)
        self.constellation_check.add_epoch(view.satellites, now)

    def _temperature(self, now: int) -> "int | None":
        return centi_or_none(self._sensor, now)

    def _check_timeouts(self, now: int) -> None:
        """Check for missing sentences, a missing fix, and an error bound that is too large."""
        clock, report = self.agent.clock, self.advisories.report
        silence_us, no_fix_us = now - self._last_epoch, now - self._last_fix
        report(
            "silent",
            silence_us > _SILENCE_LIMIT_US,
            now,
            silence_us // SECOND,
            _SILENCE_LIMIT_US // SECOND,
        )
        started = now - self._started > _STARTUP_US
        fix_lost = started and silence_us <= _SILENCE_LIMIT_US and no_fix_us > _SILENCE_LIMIT_US
        report("no_fix", fix_lost, now, no_fix_us // SECOND, _SILENCE_LIMIT_US // SECOND)
        # After a cold start the leap seconds take 26 minutes, after a leap second too.
        # During that time there is no alarm.
        awaiting_leap = clock.leap.uncertain and now - self._started < _LEAP_SECOND_US
        awaiting_leap = awaiting_leap or clock.leap.is_suspect()
        bound = clock.subsecond_bound_us(now) if awaiting_leap else clock.bound_us(now)
        if started:
            bound_us = -1 if bound is None else bound
            report("bound", not 0 <= bound_us <= self._bound_us, now, bound_us, self._bound_us)
        self.coexistence.set_rx_priority(clock.state(now) != "sync" or clock.leap.uncertain, now)

    def _update_alarms(self, now: int) -> None:
        """Raise and clear the alarms."""
        active = self.detectors.active + self.advisories.active
        if active == self._reported:
            return
        self._reported = active
        alarms = self.agent.alarms
        for name, record in DETECTORS + ADVISORIES:
            alarms.update(record, "", name in active, now)

    def status(self, now: int) -> JsonObject:
        """Return the active detectors, the antenna state, temperature effect and transmissions."""
        level = self.signal_check.usual_level()
        return JsonObject(
            [
                ("epochs", self.epochs),
                ("votes", self.detectors.active),
                ("notices", self.advisories.active),
                ("antenna", self._antenna),
                ("leap_s", self._leap_s),
                ("gain", self.gain_check.gain),
                ("cw_level", self._cw_level),
                ("authenticated", self._authenticated),
                ("cn0_centi", None if level is None else level * 100 // 256),
                ("derating_milli_db_per_c", self.signal_check.derating()),
                ("tagged", self.coexistence.tx_affected),
                ("desense_centi_db", self.coexistence.desense_centi_db()),
            ]
        )
