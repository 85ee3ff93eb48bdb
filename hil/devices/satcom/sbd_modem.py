# SPDX-License-Identifier: Apache-2.0
"""An emulated Iridium 9602/9603: AT commands at 19200 baud, short-burst data sessions.

Source: ISU AT Command Reference (MAN0009); no code is shared with the agent. Commands that the
reference does not list get ERROR. `isu_settings` has identity and settings, `sbd_queries` what the
modem reports. The sequence number of uplink messages (MOMSN) is in non-volatile memory and counts
each successful session, also one without a message. A session leaves the uplink buffer as it is. A
session takes 4 to 15 s, a transfer at most 60 s. Does not emulate voice, DTR and RTS, or the speed
of the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar

from construct import Bytes, Int16ub, Struct, this

from hil.devices.base import MILLISECOND, NEVER, SECOND, Replies
from hil.devices.satcom.at_line import LineCommand, split_line
from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.isu_settings import IsuSettings
from hil.devices.satcom.modem import EmulatedModem
from hil.devices.satcom.radio import Radio
from hil.devices.satcom.sbd_queries import NetworkReport, SbdBuffers

_TRANSFER = Struct("content" / Bytes(this._.size), "sum" / Int16ub)
_RING_ALERT = b"SBDRING\r\n"
_TRANSFER_TIMEOUT_US = 60 * SECOND
_REGISTER_PAUSE_US = 180 * SECOND
_TEXT = -1
_FAILURES = (10, 13, 17, 18, 18, 32)
"""Status codes of failed sessions; the lost radio link is the most frequent."""
_LOCATION = re.compile(r"(=[+-]?\d{4}\.\d{3},[+-]?\d{5}\.\d{3})?")

Lines = list[str] | None


class SbdModem(EmulatedModem):
    """One modem. Faults:

    dead              the modem sends nothing
    force_status      MO status of the next sessions, in order; a failed one sends nothing
    lose_acks         number of sessions that succeed but report 18
    transfer_results  results (1 to 3) of the next transfers into the buffer
    ring_alert_at     position of a ring alert in every answer, bytes; None: no alert
    reset_in          "transfer" or "session": the modem restarts once at the next one
    reset_after       number of received bytes after which the modem restarts once

    Results: `sessions` counts every session command, `transmissions` counts sessions with a
    transmission (all except those that report 32, 34, 35 or 36 within 3 s).
    """

    FAULTS: ClassVar = EmulatedModem.FAULTS | {
        "lose_acks",
        "ring_alert_at",
        "reset_in",
        "reset_after",
    }
    boot_us = 6 * SECOND

    def __init__(
        self,
        radio: Radio,
        gateway: MessageGateway,
        utc: Callable[[int], int],
        serial: str = "300234010753370",
        site_e7: tuple[int, int] = (252_000_000, 553_000_000),
    ) -> None:
        self.settings = IsuSettings(serial)
        self.buffers = SbdBuffers()
        self.report = NetworkReport(radio, utc, site_e7)
        super().__init__(radio, gateway, serial)
        self.force_status: list[int] = []
        self.lose_acks = 0
        self.transfer_results: list[int] = []
        self.ring_alert_at: int | None = None
        self.reset_in = ""
        self.reset_after: int | None = None
        self.counts_empty = True
        """Sessions without a message advance the number, as the reference says."""
        self.sessions = 0
        self.transmissions = 0
        self.empty_tries = 0
        self.failed = 0
        self._registered_at = -_REGISTER_PAUSE_US

    def _clear_state(self) -> None:
        super()._clear_state()
        self._busy_until = 0
        self._expected_bytes = 0
        self._transfer_due = NEVER
        self._delay = 5 * MILLISECOND
        self._last_line = ""
        self.settings.power_up()
        self.buffers.clear(True, True)
        self.report.power_up()

    # The line.

    def _answer(self, *lines: bytes, result: str = "OK") -> Replies:
        """Write information lines and a result code, or none if `result` is empty."""
        profile = self.settings.active
        start = b"\r\n" if profile.verbose else b""
        text = b"".join(start + line + b"\r\n" for line in lines)
        if result and not profile.quiet:
            code = {"OK": b"0", "ERROR": b"4"}[result]
            text += b"\r\n" + result.encode() + b"\r\n" if profile.verbose else code + b"\r"
        return self._insert_ring_alert([(self._delay, text)])

    def _insert_ring_alert(self, replies: Replies) -> Replies:
        """Insert the ring alert into each answer."""
        if self.ring_alert_at is None:
            return replies
        at = self.ring_alert_at
        return [
            (delay, data[:at] + b"\r\n" + _RING_ALERT + data[at:] if len(data) >= at else data)
            for delay, data in replies
        ]

    def receive(self, data: bytes, now: int) -> Replies:
        """Process received bytes; bytes during a session or a restart are lost."""
        if self.reset_after is not None and not self._is_unresponsive(now):
            if len(data) >= self.reset_after:
                rest = data[self.reset_after :]
                replies = self._receive(data[: self.reset_after], now)
                self.reset_after = None
                self.reset(now)
                return replies + self._receive(rest, now)
            self.reset_after -= len(data)
        return self._receive(data, now)

    def _receive(self, data: bytes, now: int) -> Replies:
        if self._is_unresponsive(now) or now < self._busy_until:
            return []
        self._buffer += data
        replies: Replies = []
        while self._buffer:
            if self._expected_bytes > 0:
                if len(self._buffer) < self._expected_bytes + 2:
                    return replies
                replies += self._finish_transfer(now)
                continue
            if self._buffer[:2].upper() == b"A/" and not self._expected_bytes:
                self._buffer = self._buffer[2:]
                replies += self._execute(self._last_line, now)
                continue
            line, cr, rest = self._buffer.partition(b"\r")
            if not cr:
                self._buffer = line[-512:]
                return replies
            self._buffer = rest
            replies += self._end_text(line) if self._expected_bytes else self._line(line, now)
            if self._is_unresponsive(now) or now < self._busy_until:
                self._buffer = b""
                return replies
        return replies

    def _line(self, line: bytes, now: int) -> Replies:
        echo: Replies = [(0, line + b"\r")] if self.settings.active.echo else []
        text = line.decode("latin-1").lstrip(" \n")
        if not text:
            return echo
        self._last_line = text
        return echo + self._execute(text, now)

    def _execute(self, line: str, now: int) -> Replies:
        commands = split_line(line)
        if commands is None:
            return self._answer(result="ERROR")
        replies: Replies = []
        self._delay = 5 * MILLISECOND
        for command in commands:
            lines = self._command(command, now)
            if self._is_unresponsive(now):
                return []
            if lines is None:
                return replies + self._answer(result="ERROR")
            if self._expected_bytes:
                return replies + self._answer(b"READY", result="")
            if command.name == "+SBDRB":
                replies += self._insert_ring_alert([(self._delay, self.buffers.pack_downlink())])
            elif command.name == "+SBDRT":
                replies += self._answer(b"+SBDRT:", result="")
                replies.append((0, self.buffers.downlink))
            elif lines:
                texts = [text.encode() for text in lines]
                replies += self._answer(*texts, result="")
            self._delay = 0 if replies else self._delay
        delayed = replies + self._answer()
        return _join(delayed)

    def _command(self, command: LineCommand, now: int) -> Lines:
        name, argument = command
        if name[0] not in "+-":
            return self._basic(name, argument, now)
        if name.startswith("+SBD") and name not in ("+SBDMTA", "+SBDAREG", "+SBDDSC", "+SBDST"):
            return self._short_burst(name, argument, now)
        lines = self.report.query(name, argument, now)
        return self.settings.extended(name, argument, now) if lines is None else lines

    def _basic(self, name: str, argument: str, now: int) -> Lines:
        if name == "*R" and argument in ("0", "1", ""):
            self.report.set_radio(argument == "1", now)
            return []
        if name == "*F" and not argument:  # writes pending settings; the radio is off afterwards
            self.report.set_radio(False, now)
            return []
        return self.settings.basic(name, argument)

    # Short-burst data.

    def _short_burst(self, name: str, argument: str, now: int) -> Lines:
        if name == "+SBDWB":
            return self._write(argument[1:], now)
        if name == "+SBDWT":
            return self._write_text(argument)
        if name in ("+SBDIX", "+SBDIXA", "+SBDI"):
            valid = _LOCATION.fullmatch(argument) and (name != "+SBDI" or not argument)
            return self._run_session(name == "+SBDI", now) if valid else None
        if name in ("+SBDREG", "+SBDDET"):
            return self._register(name, argument, now)
        return self.buffers.query(
            name, argument, self.report.ring_alert, self._gateway.queued_count(self.serial)
        )

    def _write(self, size: str, now: int) -> Lines:
        if not (size.isascii() and size.isdigit()):
            return None
        if not 1 <= int(size) <= 340:
            return ["3"]
        if self.reset_in == "transfer":
            self.reset_in = ""
            self.reset(now)
            return []
        self._expected_bytes = int(size)
        self._transfer_due = now + _TRANSFER_TIMEOUT_US
        return []

    def _write_text(self, argument: str) -> Lines:
        if not argument:
            self._expected_bytes = _TEXT
            return []
        if not 1 <= len(argument) - 1 <= 120:
            return None
        self.buffers.store_uplink(argument[1:].encode("latin-1"))
        return []

    def _end_text(self, line: bytes) -> Replies:
        self._expected_bytes, self._transfer_due = 0, NEVER
        if not 1 <= len(line) <= 340:
            return self._answer(result="ERROR")
        self.buffers.store_uplink(line)
        return self._answer(b"0")

    def _finish_transfer(self, now: int) -> Replies:
        size, self._expected_bytes, self._transfer_due = self._expected_bytes, 0, NEVER
        raw, self._buffer = self._buffer[: size + 2], self._buffer[size + 2 :]
        transfer = _TRANSFER.parse(raw, size=size)
        if self.transfer_results:
            return self._answer(b"%d" % self.transfer_results.pop(0))
        if transfer.sum != sum(transfer.content) & 0xFFFF:
            return self._answer(b"2")
        self.buffers.store_uplink(transfer.content)
        return self._answer(b"0")

    def _attempt(self, now: int) -> int:
        """Return the MO status of a session that begins now."""
        if self.force_status:
            return self.force_status.pop(0)
        if not self.report.radio_on:
            return 34
        if self.radio.bars(now) == 0:
            return 32
        if self._gateway.down:
            return 17
        return 0 if self.radio.try_session(now) else self.radio.rng.choice(_FAILURES)

    def _run_session(self, is_short: bool, now: int) -> Lines:
        buffers = self.buffers
        self.sessions += 1
        if not buffers.uplink and not self._gateway.queued_count(self.serial):
            self.empty_tries += 1
        if self.reset_in == "session":
            self.reset_in = ""
            self.reset(now)
            return []
        status = self._attempt(now)
        not_transmitted = status in (32, 34, 35, 36)
        self.transmissions += not not_transmitted
        duration = self.radio.random_us(1, 3) if not_transmitted else self.radio.random_us(4, 15)
        self._busy_until = now + duration
        self._delay = duration + 5 * MILLISECOND
        number, mt_status, downlink, waiting = buffers.uplink_number, 0, b"", 0
        if status <= 4:
            if buffers.uplink or self.counts_empty:
                buffers.count_session()
            self.report.registered(now)
            downlink, waiting = self._gateway.run_session(
                self.serial, number, buffers.uplink, now + duration
            )
            if self.lose_acks:
                self.lose_acks -= 1
                status, downlink = 18, b""
        elif not not_transmitted and self.radio.try_late_failure():
            self._gateway.run_session(self.serial, number, buffers.uplink, now + duration)
        if status > 4:
            self.failed += 1
            mt_status = 2
        elif downlink:
            mt_status = 1
            buffers.store_downlink(downlink)
        reported = buffers.downlink_number if mt_status == 1 else 0
        numbers = (number, mt_status, reported, len(downlink), waiting)
        texts = ", ".join(str(value) for value in numbers)
        if is_short:
            sent = 2 if status > 4 else int(bool(buffers.uplink))
            return [f"+SBDI:{sent}, {texts}"]
        return [f"+SBDIX: {status}, {texts}"]

    def _register(self, name: str, argument: str, now: int) -> Lines:
        if argument == "?" and name == "+SBDREG":
            return [f"+SBDREG:{self.report.registration}"]
        if not _LOCATION.fullmatch(argument) or (argument and name == "+SBDDET"):
            return None
        too_soon = name == "+SBDREG" and now - self._registered_at < _REGISTER_PAUSE_US
        status = 36 if too_soon else self._attempt(now)
        duration = self.radio.random_us(1, 3) if status in (32, 34, 36) else 5 * SECOND
        self._busy_until = now + duration
        self._delay = duration + 5 * MILLISECOND
        if name == "+SBDDET":
            if status <= 4:
                self.report.detached()
            return [f"+SBDDET:{status > 4:d},{status}"]
        if status <= 4:
            self._registered_at = now
            self.report.registered(now)
        return [f"+SBDREG:{self.report.registration},{status}"]

    # Without a command.

    def send_ring_alert(self) -> Replies:
        """Return the ring alert of the network: a downlink message waits."""
        if self.dead:
            return []
        self.report.ring()
        return [(0, b"\r\n" + _RING_ALERT)] if self.settings.values["+SBDMTA"] else []

    def deadline(self) -> int:
        """Return the time of the next check of the sky or of the end of a transfer."""
        return min(self.report.check_at, self._transfer_due)

    def wake(self, now: int) -> Replies:
        """End a transfer after 60 s; report changes of signal and service."""
        replies: Replies = []
        if now >= self._transfer_due:
            self._expected_bytes, self._transfer_due = 0, NEVER
            self._buffer = b""
            replies += self._answer(b"1")
        return replies + self.report.changes(now, self.dead or now < self._busy_until)


def _join(replies: Replies) -> Replies:
    """Join replies that follow each other without a pause."""
    joined: Replies = []
    for delay, data in replies:
        if joined:
            joined[0] = joined[0][0], joined[0][1] + data
        else:
            joined.append((delay, data))
    return joined
