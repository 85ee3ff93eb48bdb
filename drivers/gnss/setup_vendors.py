# SPDX-License-Identifier: Apache-2.0
"""Vendor commands for receiver settings: pure functions from a setting to bytes.

    casic     AT6558, ATGM336H, L76K: `$PCAS…` (CASIC receiver protocol specification)
    unicore   UM980 and related: text lines (Unicore reference commands manual, N4)
    quectel   LC29H: `$PAIR…` and `$PQTM…` (LC29H GNSS protocol specification)
    ublox     generation 9 and later: UBX-CFG-VALSET to RAM, and to flash on save
    ublox8    up to generation 8: UBX-CFG-GNSS, -MSG, -RATE, -PRT, -RST, -CFG
    allystar, st, trimble   see `drivers.gnss.setup_older_vendors`

The numbers are from the vendors' documents and public drivers. Not tested with real receivers.
"""

from drivers.errors import DriverError
from drivers.gnss.setup_frames import build_sentence, build_ubx, build_valset
from drivers.gnss.setup_older_vendors import AllystarCommands, StCommands, TrimbleCommands

TYPE_CHECKING = False
if TYPE_CHECKING:
    Names = tuple[str, ...]

_CASIC_BITS = {"GPS": 1, "BDS": 2, "GLO": 4}
_CASIC_ORDER = ("GGA", "GLL", "GSA", "GSV", "RMC", "VTG", "ZDA")
_CASIC_BAUDS = (4800, 9600, 19200, 38400, 57600, 115200)
_CASIC_STARTS = {"hot": 0, "warm": 1, "cold": 2}
_QUECTEL_TYPES = {
    "GGA": 0,
    "GLL": 1,
    "GSA": 2,
    "GSV": 3,
    "RMC": 4,
    "VTG": 5,
    "ZDA": 6,
    "GST": 8,
}
_SENTENCES = ("RMC", "GGA", "GSA", "GSV", "ZDA", "GLL", "VTG", "GST")
_SYSTEMS = ("GPS", "BDS", "GLO", "GAL")
_UBX_SIGNAL = {"GPS": 0x1031001F, "GAL": 0x10310021, "BDS": 0x10310022, "GLO": 0x10310025}
_UBX_RATE, _UBX_BAUD = 0x30210001, 0x40520001
_UBX_SENTENCES = {
    "RMC": (0x209100AC, 4),
    "GGA": (0x209100BB, 0),
    "GLL": (0x209100CA, 1),
    "GSA": (0x209100C0, 2),
    "GSV": (0x209100C5, 3),
    "VTG": (0x209100B1, 5),
    "ZDA": (0x209100D9, 8),
    "GST": (0x209100D4, 7),
}
"""Kind: configuration key for UART1 (the next ones are UART2 and USB), number in class 0xF0."""
_UBX_GNSS = {"GPS": (0, 8, 16), "GAL": (2, 4, 8), "BDS": (3, 8, 16), "GLO": (6, 8, 14)}
"""System: number in UBX-CFG-GNSS, reserved and maximum channels."""
_UBX_STARTS = {"hot": 0x0000, "warm": 0x0001, "cold": 0xFFFF}


class CasicCommands:
    """`$PCAS…` commands."""

    def systems(self, systems: "Names") -> "list[bytes]":
        """PCAS04: the sum of GPS 1, BeiDou 2, GLONASS 4."""
        if "GAL" in systems:
            raise DriverError("constellations: this maker's receivers have no GAL")
        return [build_sentence("PCAS04,%d" % sum([_CASIC_BITS[system] for system in systems]))]

    def kinds(self, kinds: "Names", _rate_ms: int) -> "list[bytes]":
        """PCAS03: one number per kind, the interval in fixes; TXT stays for the antenna state."""
        counts = [str(int(kind in kinds)) for kind in _CASIC_ORDER]
        tail = ["1", "0", "0", "", "", "0", str(int("GST" in kinds))]
        return [build_sentence("PCAS03,%s" % ",".join(counts + tail))]

    def rate(self, rate_ms: int, _kinds: "Names") -> "list[bytes]":
        """PCAS02: milliseconds."""
        return [build_sentence("PCAS02,%d" % rate_ms)]

    def baud(self, baud: int) -> "list[bytes]":
        """PCAS01: 0 is 4800, 5 is 115200."""
        if baud not in _CASIC_BAUDS:
            raise DriverError("baud: %d is none of %s" % (baud, list(_CASIC_BAUDS)))
        return [build_sentence("PCAS01,%d" % _CASIC_BAUDS.index(baud))]

    def save(self) -> "list[bytes]":
        """PCAS00."""
        return [build_sentence("PCAS00")]

    def start(self, start: str) -> "list[bytes]":
        """PCAS10: 0 hot, 1 warm, 2 cold."""
        return [build_sentence("PCAS10,%d" % _CASIC_STARTS[start])]


class UnicoreCommands:
    """Text lines; the receiver replies `$command,…,response: OK*hh`."""

    _starts = {"hot": "RESET", "warm": "RESET EPHEM", "cold": "RESET ALL"}

    def systems(self, systems: "Names") -> "list[bytes]":
        """UNMASK the requested systems, MASK the others."""
        words = [("UNMASK" if name in systems else "MASK", name) for name in _SYSTEMS]
        return [("%s %s\r\n" % word).encode() for word in words]

    def kinds(self, kinds: "Names", rate_ms: int) -> "list[bytes]":
        """UNLOG all, then request each kind with its period in seconds."""
        period = "%d" % (rate_ms // 1000) if rate_ms % 1000 == 0 else "%.2f" % (rate_ms / 1000)
        lines = ["UNLOG\r\n"] + ["GP%s %s\r\n" % (k, period) for k in _SENTENCES if k in kinds]
        return [line.encode() for line in lines]

    def rate(self, rate_ms: int, kinds: "Names") -> "list[bytes]":
        """The rate is a property of each sentence."""
        return self.kinds(kinds or ("RMC", "GGA", "GSA", "GSV", "ZDA"), rate_ms)

    def baud(self, baud: int) -> "list[bytes]":
        """CONFIG COM1."""
        return [b"CONFIG COM1 %d\r\n" % baud]

    def save(self) -> "list[bytes]":
        """SAVECONFIG."""
        return [b"SAVECONFIG\r\n"]

    def start(self, start: str) -> "list[bytes]":
        """RESET, with the data to delete."""
        return [("%s\r\n" % self._starts[start]).encode()]


class QuectelCommands:
    """`$PAIR…` and `$PQTM…` commands."""

    def systems(self, systems: "Names") -> "list[bytes]":
        """PQTMCFGCNST: GPS, GLONASS, Galileo, BeiDou, QZSS, NavIC."""
        flags = [str(int(s in systems)) for s in ("GPS", "GLO", "GAL", "BDS")]
        return [build_sentence("PQTMCFGCNST,W,%s,0,0" % ",".join(flags))]

    def kinds(self, kinds: "Names", _rate_ms: int) -> "list[bytes]":
        """PAIR062: number of the kind, interval in fixes; PAIR100: NMEA 4.10."""
        pairs = [(_QUECTEL_TYPES[kind], int(kind in kinds)) for kind in _SENTENCES]
        return [build_sentence("PAIR100,1,0")] + [
            build_sentence("PAIR062,%d,%d" % pair) for pair in pairs
        ]

    def rate(self, rate_ms: int, _kinds: "Names") -> "list[bytes]":
        """PAIR050: milliseconds."""
        return [build_sentence("PAIR050,%d" % rate_ms)]

    def baud(self, baud: int) -> "list[bytes]":
        """PAIR864: UART 0."""
        return [build_sentence("PAIR864,0,0,%d" % baud)]

    def save(self) -> "list[bytes]":
        """PQTMSAVEPAR."""
        return [build_sentence("PQTMSAVEPAR")]

    def start(self, start: str) -> "list[bytes]":
        """PQTMHOT, PQTMWARM, PQTMCOLD."""
        return [build_sentence("PQTM" + start.upper())]


def _save_ubx() -> "list[bytes]":
    """UBX-CFG-CFG: save all settings to battery-backed RAM, flash and EEPROM."""
    all_parts = (0x1F1F).to_bytes(4, "little")
    return [build_ubx(0x06, 0x09, bytes(4) + all_parts + bytes(4) + b"\x17")]


def _start_ubx(start: str) -> "list[bytes]":
    """UBX-CFG-RST: the data to delete; mode 2, GNSS part only."""
    return [build_ubx(0x06, 0x04, _UBX_STARTS[start].to_bytes(2, "little") + b"\x02\x00")]


class UbloxCommands:
    """Generation 9 and later: configuration keys."""

    def systems(self, systems: "Names") -> "list[bytes]":
        """CFG-SIGNAL-…_ENA."""
        return [build_valset([(_UBX_SIGNAL[s], int(s in systems), 1) for s in _SYSTEMS])]

    def kinds(self, kinds: "Names", _rate_ms: int) -> "list[bytes]":
        """CFG-MSGOUT-NMEA_ID_… for UART1 and USB."""
        pairs = []
        for kind in _SENTENCES:
            key = _UBX_SENTENCES[kind][0]
            pairs += [(key, int(kind in kinds), 1), (key + 2, int(kind in kinds), 1)]
        return [build_valset(pairs)]

    def rate(self, rate_ms: int, _kinds: "Names") -> "list[bytes]":
        """CFG-RATE-MEAS, milliseconds."""
        return [build_valset([(_UBX_RATE, rate_ms, 2)])]

    def baud(self, baud: int) -> "list[bytes]":
        """CFG-UART1-BAUDRATE."""
        return [build_valset([(_UBX_BAUD, baud, 4)])]

    def save(self) -> "list[bytes]":
        """UBX-CFG-CFG."""
        return _save_ubx()

    def start(self, start: str) -> "list[bytes]":
        """UBX-CFG-RST."""
        return _start_ubx(start)


class Ublox8Commands:
    """Up to generation 8: one message per setting."""

    def systems(self, systems: "Names") -> "list[bytes]":
        """UBX-CFG-GNSS: version 0, 32 channels, a block of 8 bytes per system."""
        blocks = b""
        for name in _SYSTEMS:
            number, min_channels, max_channels = _UBX_GNSS[name]
            blocks += bytes((number, min_channels, max_channels, 0, int(name in systems), 0, 1, 1))
        return [build_ubx(0x06, 0x3E, bytes((0, 0, 32, len(_SYSTEMS))) + blocks)]

    def kinds(self, kinds: "Names", _rate_ms: int) -> "list[bytes]":
        """UBX-CFG-MSG for the port in use; PUBX 41 is not needed."""
        return [
            build_ubx(0x06, 0x01, bytes((0xF0, _UBX_SENTENCES[k][1], int(k in kinds))))
            for k in _SENTENCES
        ]

    def rate(self, rate_ms: int, _kinds: "Names") -> "list[bytes]":
        """UBX-CFG-RATE: milliseconds, one measurement per fix, UTC time base."""
        return [build_ubx(0x06, 0x08, rate_ms.to_bytes(2, "little") + b"\x01\x00\x00\x00")]

    def baud(self, baud: int) -> "list[bytes]":
        """UBX-CFG-PRT of UART1: 8N1, UBX and NMEA in and out. Replies and UBX-TIM-TP are UBX."""
        payload = b"\x01\x00\x00\x00\xd0\x08\x00\x00" + baud.to_bytes(4, "little")
        return [build_ubx(0x06, 0x00, payload + b"\x03\x00\x03\x00\x00\x00\x00\x00")]

    def save(self) -> "list[bytes]":
        """UBX-CFG-CFG."""
        return _save_ubx()

    def start(self, start: str) -> "list[bytes]":
        """UBX-CFG-RST."""
        return _start_ubx(start)


if TYPE_CHECKING:
    VendorCommands = (
        CasicCommands
        | UnicoreCommands
        | QuectelCommands
        | UbloxCommands
        | Ublox8Commands
        | AllystarCommands
        | StCommands
        | TrimbleCommands
    )

VENDOR_COMMANDS: "dict[str, VendorCommands]" = {
    "casic": CasicCommands(),
    "unicore": UnicoreCommands(),
    "quectel": QuectelCommands(),
    "ublox": UbloxCommands(),
    "ublox8": Ublox8Commands(),
    "allystar": AllystarCommands(),
    "st": StCommands(),
    "trimble": TrimbleCommands(),
}
