# SPDX-License-Identifier: Apache-2.0
"""An emulated Iridium 9602/9603: AT commands at 19200 baud, short-burst data sessions.

It follows the vendor's command reference and shares no code with the agent. Echo is on after a
restart. A session takes 4 to 15 s. `+CIEV` reports signal and service on request. Does not emulate
GSM-style registration, dialling, AT+SBDWT or text reading.
"""

from __future__ import annotations

from collections.abc import Callable

from construct import Bytes, Int16ub, Rebuild, Struct, this

from hil.devices.base import MILLISECOND, NEVER, SECOND, Replies
from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.modem import EmulatedModem
from hil.devices.satcom.radio import Radio

_TRANSFER = Struct("content" / Bytes(this._.size), "sum" / Int16ub)
_DOWNLINK = Struct(
    "size" / Rebuild(Int16ub, lambda c: len(c.content)),
    "content" / Bytes(this.size),
    "sum" / Rebuild(Int16ub, lambda c: sum(c.content) & 0xFFFF),
)
_RING_ALERT = b"SBDRING\r\n"
_SKY_CHECK_US = 2 * SECOND
_ACQUIRE_US = 3 * SECOND
_FAILURES = (10, 13, 17, 18, 18, 32)
"""Status codes of failed sessions; the lost radio link is the most frequent."""
_TICKS_FROM_US = 1_399_818_235_000_000  # 2014-05-11T14:23:55Z


class SbdModem(EmulatedModem):
    """One modem. Faults:

    dead              the modem sends nothing
    force_status      MO status of the next sessions, in order; a failed one sends nothing
    lose_acks         number of sessions that succeed but report 18
    transfer_results  results (1 to 3) of the next transfers into the buffer
    ring_alert_at     position of a ring alert in every answer, bytes; None: no alert
    reset_in          "transfer" or "session": the modem restarts once at the next one

    Results: `sessions` counts every AT+SBDIX, `transmissions` counts sessions with a transmission
    (all except those that report 32, 34, 35 or 36 within 3 s).
    """

    FAULTS = EmulatedModem.FAULTS | {"lose_acks", "ring_alert_at", "reset_in"}
    boot_us = 6 * SECOND

    def __init__(
        self,
        radio: Radio,
        gateway: MessageGateway,
        utc: Callable[[int], int],
        serial: str = "300234010753370",
    ) -> None:
        super().__init__(radio, gateway, serial)
        self.force_status: list[int] = []
        self.lose_acks = 0
        self.transfer_results: list[int] = []
        self.ring_alert_at: int | None = None
        self.reset_in = ""
        self.sessions = 0
        self.transmissions = 0
        self.empty_tries = 0
        self.failed = 0
        self._utc = utc
        self._momsn = 0
        self._mtmsn = 0
        self._commands: dict[bytes, Callable[[int], Replies]] = {
            b"AT+SBDIX": self._run_session,
            b"AT+SBDIXA": self._run_session,
            b"AT+SBDRB": self._read_downlink,
            b"AT+SBDS": self._buffer_state,
            b"AT+CSQ": self._signal,
            b"AT+CSQF": self._signal,
            b"AT-MSSTM": self._time,
            b"AT+CGSN": lambda _: self._answer(self.serial.encode()),
        }

    def _clear_state(self) -> None:
        super()._clear_state()
        self._busy_until = 0
        self._echo = True
        self._expected_bytes = 0
        self._mo = b""
        self._mt = b""
        self._reports_signal = False
        self._radio_on = True
        self._reported_signal: tuple[int, int] | None = None

    def _answer(self, *lines: bytes, ok: bool = True) -> Replies:
        parts = b"".join(b"\r\n" + line + b"\r\n" for line in lines)
        return self._insert_ring_alert([(5 * MILLISECOND, parts + (b"\r\nOK\r\n" if ok else b""))])

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
        if self._is_unresponsive(now) or now < self._busy_until:
            return []
        self._buffer += data
        replies: Replies = []
        while True:
            if self._expected_bytes:
                if len(self._buffer) < self._expected_bytes + 2:
                    return replies
                replies += self._finish_transfer(now)
                continue
            line, cr, rest = self._buffer.partition(b"\r")
            if not cr:
                self._buffer = line[-256:]
                return replies
            self._buffer = rest
            if self._echo:
                replies.append((0, line + b"\r"))
            replies += self._command(line.strip().upper(), now)
            if self._is_unresponsive(now) or now < self._busy_until:
                self._buffer = b""
                return replies

    def _command(self, line: bytes, now: int) -> Replies:
        if line in self._commands:
            return self._commands[line](now)
        if line.startswith(b"AT+SBDWB="):
            return self._write(line[9:], now)
        if not line.startswith(b"AT"):
            return self._insert_ring_alert([(5 * MILLISECOND, b"\r\nERROR\r\n")]) if line else []
        if line in (b"ATE0", b"ATE1"):
            self._echo = line == b"ATE1"
        elif line in (b"AT+SBDD0", b"AT+SBDD2"):
            self._mo = b""
            self._mt = self._mt if line == b"AT+SBDD0" else b""
            return self._answer(b"0")
        elif line in (b"AT*R0", b"AT*R1"):
            self._radio_on = line == b"AT*R1"
            self._reported_signal = None
            self._sky_check_at = (
                now + _ACQUIRE_US if self._radio_on and self._reports_signal else NEVER
            )
        elif line.startswith(b"AT+CIER="):
            self._reports_signal = line[8:9] == b"1"
            self._reported_signal = None
            self._sky_check_at = now + _ACQUIRE_US if self._reports_signal else NEVER
        return self._answer()

    def _write(self, size: bytes, now: int) -> Replies:
        if not size.isdigit() or not 1 <= int(size) <= 340:
            return self._answer(b"3")
        if self.reset_in == "transfer":
            self.reset_in = ""
            self.reset(now)
            return []
        self._expected_bytes = int(size)
        return self._answer(b"READY", ok=False)

    def _finish_transfer(self, now: int) -> Replies:
        size, self._expected_bytes = self._expected_bytes, 0
        raw, self._buffer = self._buffer[: size + 2], self._buffer[size + 2 :]
        transfer = _TRANSFER.parse(raw, size=size)
        if self.transfer_results:
            return self._answer(b"%d" % self.transfer_results.pop(0))
        if transfer.sum != sum(transfer.content) & 0xFFFF:
            return self._answer(b"2")
        self._mo = transfer.content
        return self._answer(b"0")

    def _run_session(self, now: int) -> Replies:
        self.sessions += 1
        if not self._mo and not self._gateway.queued_count(self.serial):
            self.empty_tries += 1
        if self.reset_in == "session":
            self.reset_in = ""
            self.reset(now)
            return []
        if self.force_status:
            status = self.force_status.pop(0)
        elif not self._radio_on:
            status = 34
        elif self.radio.bars(now) == 0:
            status = 32
        elif self._gateway.down:
            status = 17
        else:
            status = 0 if self.radio.try_session(now) else self.radio.rng.choice(_FAILURES)
        not_transmitted = status in (32, 34, 35, 36)
        self.transmissions += not not_transmitted
        duration = self.radio.random_us(1, 3) if not_transmitted else self.radio.random_us(4, 15)
        self._busy_until = now + duration
        mt_status, downlink, waiting = 0, b"", 0
        if status <= 4:
            self._momsn += 1
            downlink, waiting = self._gateway.run_session(
                self.serial, self._momsn, self._mo, now + duration
            )
            if self.lose_acks:
                self.lose_acks -= 1
                status, downlink = 18, b""
        elif not not_transmitted and self.radio.try_late_failure():
            self._gateway.run_session(self.serial, self._momsn, self._mo, now + duration)
        if status > 4:
            self.failed += 1
        elif downlink:
            mt_status = 1
            self._mt = downlink
            self._mtmsn += 1
        answer = b"+SBDIX: %d, %d, %d, %d, %d, %d" % (
            *(status, self._momsn, mt_status, self._mtmsn),
            *(len(downlink), waiting),
        )
        return [(duration + delay, data) for delay, data in self._answer(answer)]

    def _read_downlink(self, _: int) -> Replies:
        packed: bytes = _DOWNLINK.build({"content": self._mt})
        return self._insert_ring_alert([(5 * MILLISECOND, packed + b"\r\nOK\r\n")])

    def _buffer_state(self, _: int) -> Replies:
        return self._answer(
            b"+SBDS: %d, %d, %d, %d"
            % (bool(self._mo), self._momsn, bool(self._mt), self._mtmsn if self._mt else -1 % 65536)
        )

    def _signal(self, now: int) -> Replies:
        return self._answer(b"+CSQ:%d" % (self.radio.bars(now) if self._radio_on else 0))

    def _time(self, now: int) -> Replies:
        if not self._radio_on or not self.radio.bars(now):
            return self._answer(b"-MSSTM: no network service")
        ticks = (self._utc(now) - _TICKS_FROM_US) // 90_000 % (1 << 32)
        return self._answer(b"-MSSTM: %08x" % ticks)

    def send_ring_alert(self) -> Replies:
        """Return the ring alert of the network: a downlink message waits."""
        return [] if self.dead else [(0, b"\r\n" + _RING_ALERT)]

    def wake(self, now: int) -> Replies:
        """Report changes of signal and service."""
        if now < self._sky_check_at:
            return []
        self._sky_check_at = now + _SKY_CHECK_US
        if self.dead or now < self._busy_until or not self._radio_on:
            return []
        bars = self.radio.bars(now)
        signal = (bars, int(bars > 0))
        last, self._reported_signal = self._reported_signal, signal
        text = b""
        if last is None or last[0] != signal[0]:
            text += b"\r\n+CIEV:0,%d\r\n" % signal[0]
        if last is None or last[1] != signal[1]:
            text += b"\r\n+CIEV:1,%d\r\n" % signal[1]
        return [(0, text)] if text else []
