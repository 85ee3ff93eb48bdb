"""An emulated Iridium 9602/9603: AT commands at 19200 baud, short-burst data sessions.

Built from the vendor's command reference, with nothing of ours. Echo is on after a start; a session
takes 4 to 15 s; `+CIEV` tells of signal and service when asked to. Not emulated: GSM-style
registration, dialling, AT+SBDWT and text reading.
"""

from __future__ import annotations

from collections.abc import Callable

from construct import Bytes, Int16ub, Rebuild, Struct, this

from hil.devices.base import MILLISECOND, NEVER, SECOND, Replies
from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.modem import Modem
from hil.devices.satcom.radio import Radio

_TRANSFER = Struct("content" / Bytes(this._.size), "sum" / Int16ub)
_DOWN = Struct(
    "size" / Rebuild(Int16ub, lambda c: len(c.content)),
    "content" / Bytes(this.size),
    "sum" / Rebuild(Int16ub, lambda c: sum(c.content) & 0xFFFF),
)
_RING = b"SBDRING\r\n"
_LOOK = 2 * SECOND
_ACQUIRE = 3 * SECOND
_FAILURES = (10, 13, 17, 18, 18, 32)
"""What a failed session says, most often that the radio link dropped."""
_TICKS_FROM_US = 1_399_818_235_000_000  # 2014-05-11T14:23:55Z


class SbdModem(Modem):
    """One modem. Faults, plain attributes that may change at any time:

    dead            says nothing
    force_status    MO statuses of the next sessions, in order; a failed one sends nothing
    lose_acks       so many sessions get through and yet report 18
    refuse          results (1 to 3) of the next transfers into the buffer
    ring_at         puts a ring before byte number `ring_at` of every answer; None for none
    reset_in        "transfer" or "session": the modem restarts at the next one, once

    For judging: `sessions` counts every AT+SBDIX, `on_air` those in which something was transmitted
    (all but those that report 32, 34, 35 or 36 within 3 s).
    """

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
        self.refuse: list[int] = []
        self.ring_at: int | None = None
        self.reset_in = ""
        self.sessions = 0
        self.on_air = 0
        self.empty_tries = 0
        self.failed = 0
        self._utc = utc
        self._momsn = 0
        self._mtmsn = 0
        self._commands: dict[bytes, Callable[[int], Replies]] = {
            b"AT+SBDIX": self._session,
            b"AT+SBDIXA": self._session,
            b"AT+SBDRB": self._read,
            b"AT+SBDS": self._state,
            b"AT+CSQ": self._signal,
            b"AT+CSQF": self._signal,
            b"AT-MSSTM": self._time,
            b"AT+CGSN": lambda _: self._say(self.serial.encode()),
        }

    def _clear(self) -> None:
        super()._clear()
        self._busy_until = 0
        self._echo = True
        self._expect = 0
        self._mo = b""
        self._mt = b""
        self._report = False
        self._radio_on = True
        self._heard: tuple[int, int] | None = None

    def _say(self, *lines: bytes, ok: bool = True) -> Replies:
        parts = b"".join(b"\r\n" + line + b"\r\n" for line in lines)
        return self._rung([(5 * MILLISECOND, parts + (b"\r\nOK\r\n" if ok else b""))])

    def _rung(self, replies: Replies) -> Replies:
        """Put the ring into each answer."""
        if self.ring_at is None:
            return replies
        at = self.ring_at
        return [
            (delay, data[:at] + b"\r\n" + _RING + data[at:] if len(data) >= at else data)
            for delay, data in replies
        ]

    def receive(self, data: bytes, now: int) -> Replies:
        """Take bytes; while a session runs or the modem starts, they are lost."""
        if self._deaf(now) or now < self._busy_until:
            return []
        self._buffer += data
        replies: Replies = []
        while True:
            if self._expect:
                if len(self._buffer) < self._expect + 2:
                    return replies
                replies += self._transferred(now)
                continue
            line, cr, rest = self._buffer.partition(b"\r")
            if not cr:
                self._buffer = line[-256:]
                return replies
            self._buffer = rest
            if self._echo:
                replies.append((0, line + b"\r"))
            replies += self._command(line.strip().upper(), now)
            if self._deaf(now) or now < self._busy_until:
                self._buffer = b""
                return replies

    def _command(self, line: bytes, now: int) -> Replies:
        if line in self._commands:
            return self._commands[line](now)
        if line.startswith(b"AT+SBDWB="):
            return self._write(line[9:], now)
        if not line.startswith(b"AT"):
            return self._rung([(5 * MILLISECOND, b"\r\nERROR\r\n")]) if line else []
        if line in (b"ATE0", b"ATE1"):
            self._echo = line == b"ATE1"
        elif line in (b"AT+SBDD0", b"AT+SBDD2"):
            self._mo = b""
            self._mt = self._mt if line == b"AT+SBDD0" else b""
            return self._say(b"0")
        elif line in (b"AT*R0", b"AT*R1"):
            self._radio_on = line == b"AT*R1"
            self._heard = None
            self._look_at = now + _ACQUIRE if self._radio_on and self._report else NEVER
        elif line.startswith(b"AT+CIER="):
            self._report = line[8:9] == b"1"
            self._heard = None
            self._look_at = now + _ACQUIRE if self._report else NEVER
        return self._say()

    def _write(self, size: bytes, now: int) -> Replies:
        if not size.isdigit() or not 1 <= int(size) <= 340:
            return self._say(b"3")
        if self.reset_in == "transfer":
            self.reset_in = ""
            self.reset(now)
            return []
        self._expect = int(size)
        return self._say(b"READY", ok=False)

    def _transferred(self, now: int) -> Replies:
        size, self._expect = self._expect, 0
        raw, self._buffer = self._buffer[: size + 2], self._buffer[size + 2 :]
        got = _TRANSFER.parse(raw, size=size)
        if self.refuse:
            return self._say(b"%d" % self.refuse.pop(0))
        if got.sum != sum(got.content) & 0xFFFF:
            return self._say(b"2")
        self._mo = got.content
        return self._say(b"0")

    def _session(self, now: int) -> Replies:
        self.sessions += 1
        if not self._mo and not self._gateway.queued(self.serial):
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
            status = 0 if self.radio.through(now) else self.radio.chance.choice(_FAILURES)
        quick = status in (32, 34, 35, 36)
        self.on_air += not quick
        takes = self.radio.seconds(1, 3) if quick else self.radio.seconds(4, 15)
        self._busy_until = now + takes
        mt_status, down, waiting = 0, b"", 0
        if status <= 4:
            self._momsn += 1
            down, waiting = self._gateway.session(self.serial, self._momsn, self._mo, now + takes)
            if self.lose_acks:
                self.lose_acks -= 1
                status, down = 18, b""
        elif not quick and self.radio.late():
            self._gateway.session(self.serial, self._momsn, self._mo, now + takes)
        if status > 4:
            self.failed += 1
        elif down:
            mt_status = 1
            self._mt = down
            self._mtmsn += 1
        answer = b"+SBDIX: %d, %d, %d, %d, %d, %d" % (
            *(status, self._momsn, mt_status, self._mtmsn),
            *(len(down), waiting),
        )
        return [(takes + delay, data) for delay, data in self._say(answer)]

    def _read(self, _: int) -> Replies:
        packed: bytes = _DOWN.build({"content": self._mt})
        return self._rung([(5 * MILLISECOND, packed + b"\r\nOK\r\n")])

    def _state(self, _: int) -> Replies:
        return self._say(
            b"+SBDS: %d, %d, %d, %d"
            % (bool(self._mo), self._momsn, bool(self._mt), self._mtmsn if self._mt else -1 % 65536)
        )

    def _signal(self, now: int) -> Replies:
        return self._say(b"+CSQ:%d" % (self.radio.bars(now) if self._radio_on else 0))

    def _time(self, now: int) -> Replies:
        if not self._radio_on or not self.radio.bars(now):
            return self._say(b"-MSSTM: no network service")
        ticks = (self._utc(now) - _TICKS_FROM_US) // 90_000 % (1 << 32)
        return self._say(b"-MSSTM: %08x" % ticks)

    def ring(self) -> Replies:
        """The network rings: something waits."""
        return [] if self.dead else [(0, b"\r\n" + _RING)]

    def wake(self, now: int) -> Replies:
        """Report signal and service when they changed."""
        if now < self._look_at:
            return []
        self._look_at = now + _LOOK
        if self.dead or now < self._busy_until or not self._radio_on:
            return []
        bars = self.radio.bars(now)
        heard = (bars, int(bars > 0))
        last, self._heard = self._heard, heard
        text = b""
        if last is None or last[0] != heard[0]:
            text += b"\r\n+CIEV:0,%d\r\n" % heard[0]
        if last is None or last[1] != heard[1]:
            text += b"\r\n+CIEV:1,%d\r\n" % heard[1]
        return [(0, text)] if text else []
