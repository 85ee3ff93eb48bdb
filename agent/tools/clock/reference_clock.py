# SPDX-License-Identifier: Apache-2.0
"""Reference times for a calibration: pulses, the system clock, or an NTP server.

Each has `sample(utc_us, mono_us)`: the latency of an instant `utc_us` that arrived at `mono_us` of
the monotonic clock, in µs, or None if the reference has no time now. `error_us` is its error.
`modulo` is True if it knows only the phase of the second. `poll` must be called often; `close`
ends.

The NTP client sends one request of 48 bytes each 4 s (RFC 5905). The sample with the smallest delay
of the last eight counts. Its error is half its delay, plus half the root delay and the root
dispersion of the server.
"""

import ctypes
import os
import socket
import struct
from collections.abc import Callable

from agent.core.errors import ConfigError
from drivers.ports.address import parse_address
from drivers.ports.cpython import pps
from drivers.ports.cpython.clock import monotonic, system_offset_ns
from protocols.time_units import SECOND

_PULSE_AGE = 1_500_000
_PULSE_ERROR_US = 100
"""A timestamp of the kernel, taken over into another clock."""
_NTP_PORT = 123
_NTP_EPOCH_S = 2_208_988_800
_NTP_EVERY_US = 4 * SECOND
_NTP_AGE_US = 64 * SECOND
_NTP_KEPT = 8
_PACKET = struct.Struct(">BBbbII4sQQQQ")
_STA_UNSYNC = 0x40


class PulseReference:
    """The edges of a PPS port (`pps:/dev/pps0`)."""

    modulo = True
    error_us = _PULSE_ERROR_US

    def __init__(self, text: str) -> None:
        self._edge_us: int | None = None
        self._port = pps.open_port(parse_address(text), lambda: None)
        while not self._port.continue_open():
            pass

    def poll(self, _now: int) -> None:
        """Read the edges."""
        while data := self._port.read():
            self._edge_us = pps.EDGE.unpack(data[-pps.EDGE.size :])[0]

    def sample(self, utc_us: int, mono_us: int) -> int | None:
        """Return the latency, modulo one second."""
        if self._edge_us is None or not 0 <= mono_us - self._edge_us < _PULSE_AGE:
            return None
        return (mono_us - self._edge_us - utc_us) % SECOND

    def close(self) -> None:
        """Close the port."""
        self._port.close()


class SystemReference:
    """The system clock. `error_us`: of the configuration, else what the kernel states."""

    modulo = False

    def __init__(self, error_us: int | None) -> None:
        stated = kernel_error_us() if error_us is None else error_us
        if stated is None:
            raise ConfigError(
                "the system clock is not synchronized; wait for the "
                "time service, or state its error with --system-error-ms"
            )
        self.error_us = stated

    def poll(self, _now: int) -> None:
        """Do nothing: the system clock is always there."""

    def sample(self, utc_us: int, mono_us: int) -> int | None:
        """Return the latency."""
        return mono_us + system_offset_ns() // 1000 - utc_us

    def close(self) -> None:
        """Do nothing."""


class NtpReference:
    """An NTP server, `ntp:HOST` or `ntp:HOST:PORT`."""

    modulo = False

    def __init__(self, text: str, clock: Callable[[], int] = monotonic) -> None:
        host, _, port = text.partition(":")
        if not host:
            raise ConfigError("ntp: the name of the server is missing")
        self._clock = clock
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.connect((host, int(port or _NTP_PORT)))
        except (OSError, ValueError) as error:
            raise ConfigError(f"ntp:{text}: {error}") from None
        self._socket.setblocking(False)
        self._sent_at = -_NTP_EVERY_US
        self._nonce = 0
        self._offsets: list[tuple[int, int, int]] = []  # error, offset, time; µs
        self.error_us = 0

    def poll(self, now: int) -> None:
        """Send a request if one is due, and read the reply."""
        if now - self._sent_at >= _NTP_EVERY_US:
            self._nonce = int.from_bytes(os.urandom(8), "big")
            self._sent_at = self._clock()
            request = _PACKET.pack(0x23, 0, 0, 0, 0, 0, b"", 0, 0, 0, self._nonce)
            try:
                self._socket.send(request)
            except OSError:
                return
        try:
            reply = self._socket.recv(512)
        except OSError:
            return
        self._take(reply, self._clock())

    def _take(self, reply: bytes, now: int) -> None:
        if len(reply) < _PACKET.size:
            return
        fields = _PACKET.unpack(reply[: _PACKET.size])
        flags, stratum, delay, dispersion = fields[0], fields[1], fields[4], fields[5]
        origin, received, sent = fields[8:11]
        is_usable = flags & 7 == 4 and flags >> 6 != 3 and 0 < stratum < 16
        if not is_usable or origin != self._nonce:
            return
        self._nonce = 0  # a second copy of the reply does not count
        served = _ntp_us(sent) - _ntp_us(received)
        trip = max(now - self._sent_at - served, 0)
        offset = _ntp_us(sent) + trip // 2 - now
        error = trip // 2 + ((delay // 2 + dispersion) * SECOND >> 16)
        self._offsets = [*self._offsets[1 - _NTP_KEPT :], (error, offset, now)]
        self.error_us = min(self._offsets)[0]

    def sample(self, utc_us: int, mono_us: int) -> int | None:
        """Return the latency."""
        fresh = [item for item in self._offsets if mono_us - item[2] <= _NTP_AGE_US]
        return mono_us + min(fresh)[1] - utc_us if fresh else None

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _ntp_us(stamp: int) -> int:
    return ((stamp >> 32) - _NTP_EPOCH_S) * SECOND + ((stamp & 0xFFFFFFFF) * SECOND >> 32)


def kernel_error_us() -> int | None:
    """Return the largest error of the system clock in µs, None if it is not synchronized."""

    class _Timex(ctypes.Structure):
        """The first fields of `struct timex` of Linux; adjtimex(2)."""

        _fields_ = (
            ("modes", ctypes.c_uint),
            ("offset", ctypes.c_long),
            ("freq", ctypes.c_long),
            ("maxerror", ctypes.c_long),
            ("esterror", ctypes.c_long),
            ("status", ctypes.c_int),
            ("rest", ctypes.c_byte * 256),
        )

    timex = _Timex()
    try:
        result = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (AttributeError, OSError):
        return None
    return None if result < 0 or timex.status & _STA_UNSYNC else int(timex.maxerror)
