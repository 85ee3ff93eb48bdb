# SPDX-License-Identifier: Apache-2.0
"""What an Iridium 9602/9603 reports: its message buffers, and what it knows of the network.

Source: ISU AT Command Reference (MAN0009). The geolocation is that of the site, in steps of 4 km.
Does not run sessions; see `sbd_modem`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from math import cos, radians, sin

from construct import Bytes, Int16ub, Rebuild, Struct, this

from hil.devices.base import NEVER, SECOND, Replies
from hil.devices.satcom.radio import Radio

_DOWNLINK = Struct(
    "size" / Rebuild(Int16ub, lambda c: len(c.content)),
    "content" / Bytes(this.size),
    "sum" / Rebuild(Int16ub, lambda c: sum(c.content) & 0xFFFF),
)
_SKY_CHECK_US = 2 * SECOND
_ACQUIRE_US = 3 * SECOND
_SYSTEM_TIME_EPOCH_US = 1_399_818_235_000_000  # 2014-05-11T14:23:55Z
_EARTH_KM, _GRID_KM = 6376, 4
_LOCATION_ERROR_M = 75_000


class SbdBuffers:
    """The uplink and the downlink buffer, and their sequence numbers."""

    def __init__(self) -> None:
        self.uplink = self.downlink = b""
        self.uplink_number = self.downlink_number = 0

    def clear(self, uplink: bool, downlink: bool) -> None:
        """Empty the buffers; the numbers stay."""
        self.uplink = b"" if uplink else self.uplink
        self.downlink = b"" if downlink else self.downlink

    def store_uplink(self, content: bytes) -> None:
        """Replace the message to send."""
        self.uplink = content

    def count_session(self) -> None:
        """Advance the number of the next session."""
        self.uplink_number = (self.uplink_number + 1) % 65_536

    def store_downlink(self, content: bytes) -> None:
        """Store a message of the gateway under the next number."""
        self.downlink = content
        self.downlink_number = (self.downlink_number + 1) % 65_536

    def pack_downlink(self) -> bytes:
        """Return length, content and sum of the downlink buffer."""
        packed: bytes = _DOWNLINK.build({"content": self.downlink})
        return packed

    def query(self, name: str, argument: str, ring: bool, waiting: int) -> list[str] | None:
        """Execute a command on the buffers; return its lines, None for an error."""
        if name == "+SBDD" and argument in ("0", "1", "2"):
            self.clear(argument != "1", argument != "0")
            return ["0"]
        if argument:
            return None
        number = self.downlink_number if self.downlink else -1
        buffer_status = (
            f"{bool(self.uplink):d}, {self.uplink_number}, {bool(self.downlink):d}, {number}"
        )
        if name == "+SBDS":
            return ["+SBDS: " + buffer_status]
        if name == "+SBDSX":
            return [f"+SBDSX: {buffer_status}, {ring:d}, {waiting}"]
        if name == "+SBDTC":
            self.downlink = self.uplink[:270]
            size = len(self.downlink)
            return [f"SBDTC: Outbound SBD Copied to Inbound SBD: size = {size}"]
        if name == "+SBDC":
            self.uplink_number = 0
            return ["0"]
        constant_replies = {
            "+SBDRB": [],
            "+SBDRT": [],
            "+SBDGW": ["+SBDGW:EMSS"],
            "+SBDGWN": ["+SBDGWN:1"],
        }
        return constant_replies.get(name) if name != "+SBDLOE" else ["+SBDLOE:0,0"]


class NetworkReport:
    """Signal, service, time, place, ring alert and registration; all but the place are volatile."""

    def __init__(self, radio: Radio, utc: Callable[[int], int], site_e7: tuple[int, int]) -> None:
        self._radio = radio
        self._utc = utc
        self._site_e7 = site_e7
        self.power_up()

    def power_up(self) -> None:
        """Forget all."""
        self.radio_on = True
        self.registration = 1
        self.ring_alert = False
        self.check_at = NEVER
        self._located_at = 0
        self._has_ring_alert = False
        self._reporting = [0, 0, 0]
        self._reported: list[int | None] = [None, None]

    def registered(self, now: int) -> None:
        """Note a successful session: the gateway has reported the place."""
        self.registration = 2
        self._located_at = now
        self.ring_alert = self._has_ring_alert = False

    def detached(self) -> None:
        """Note that the gateway has detached the modem."""
        self.registration = 0

    def ring(self) -> None:
        """Note a ring alert."""
        self.ring_alert = self._has_ring_alert = True

    def set_radio(self, on: bool, now: int) -> None:
        """Switch the radio on or off."""
        self.radio_on = on
        self._reported = [None, None]
        self.check_at = now + _ACQUIRE_US if on and self._reporting[0] else NEVER

    def _bars(self, now: int) -> int:
        return self._radio.bars(now) if self.radio_on else 0

    def _ticks(self, now: int) -> int:
        return (self._utc(now) - _SYSTEM_TIME_EPOCH_US) // 90_000 % (1 << 32)

    def query(self, name: str, argument: str, now: int) -> list[str] | None:
        """Answer a query; None for an error or another command."""
        if name == "+CIER":
            return self._indicators(argument, now)
        if name in ("+CSQ", "+CSQF"):
            if argument == "=?" and name == "+CSQ":
                return ["+CSQ:(0-5)"]
            return None if argument else [f"{name}:{self._bars(now)}"]
        if argument:
            return None
        if name in ("+CRIS", "+CRISX"):
            stamp = f",{self._ticks(now):08x}" if name == "+CRISX" else ""
            return [f"{name}:000,{self._has_ring_alert:03d}{stamp}"]
        if name in ("-MSSTM", "+CCLK", "-MSGEO", "-MSGEOS"):
            return self._network(name, now)
        return None

    def _network(self, name: str, now: int) -> list[str] | None:
        """Answer what the network tells: time and place."""
        if not self._bars(now):
            return [f"{name}: no network service"] if name == "-MSSTM" else None
        if name == "-MSSTM":
            return [f"-MSSTM: {self._ticks(now):08x}"]
        if name == "+CCLK":
            text = datetime.fromtimestamp(self._utc(now) / 1e6, UTC).strftime("%y/%m/%d,%H:%M:%S")
            return ["+CCLK:" + text]
        return [self._geolocation(name, now)]

    def _geolocation(self, name: str, now: int) -> str:
        stamp = self._ticks(self._located_at or now)
        lat, lon = (value / 1e7 for value in self._site_e7)
        if name == "-MSGEOS":
            errors = f"{_LOCATION_ERROR_M},{_LOCATION_ERROR_M},{_LOCATION_ERROR_M}"
            return f"-MSGEOS: {lat:.4f},{lon:.4f},0,{errors},{stamp:08x}"
        direction = cos(radians(lat)) * cos(radians(lon)), cos(radians(lat)) * sin(radians(lon))
        x, y, z = (
            round(component * _EARTH_KM / _GRID_KM) * _GRID_KM
            for component in (*direction, sin(radians(lat)))
        )
        return f"-MSGEO: {x},{y},{z},{stamp:08x}"

    def _indicators(self, argument: str, now: int) -> list[str] | None:
        if argument == "?":
            return ["+CIER:" + ",".join(str(value) for value in self._reporting)]
        if argument == "=?":
            return ["+CIER:(0-1),(0-1),(0-1)"]
        fields = argument[1:].split(",")
        if not argument or len(fields) > 3 or any(field not in ("", "0", "1") for field in fields):
            return None
        for i, field in enumerate(fields):
            self._reporting[i] = int(field or self._reporting[i])
        self._reported = [None, None]
        self.check_at = now + _ACQUIRE_US if self._reporting[0] and self.radio_on else NEVER
        return []

    def changes(self, now: int, busy: bool) -> Replies:
        """Return the codes of changed indicators."""
        if now < self.check_at:
            return []
        self.check_at = now + _SKY_CHECK_US
        if busy or not self.radio_on:
            return []
        bars = self._bars(now)
        text = b""
        for i, value in enumerate((bars, int(bars > 0))):
            if self._reporting[i + 1] and self._reported[i] != value:
                text += b"\r\n+CIEV:%d,%d\r\n" % (i, value)
                self._reported[i] = value
        return [(0, text)] if text else []
