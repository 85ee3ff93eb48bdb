# SPDX-License-Identifier: Apache-2.0
"""Vendor commands for receiver settings of Allystar, ST and Trimble, as in `setup_vendors`.

    allystar  HD8040, HD9310: binary frames, CFG-NAVSAT, -MSG, -PRT, -CFG, -SIMPLERST
    st        Teseo III, L26: `$PSTM…`, PSTMSETCONSTMASK and parameters of the data block
    trimble   Copernicus: `$PTNLS…`; GPS only, whole seconds

The numbers are from public drivers and command files of these receivers. A setting without a public
source is refused: the fix rate of Allystar, ZDA, GST and the speed of ST. Not tested with real
receivers.
"""

from drivers.errors import DriverError
from drivers.gnss.setup_frames import ALLYSTAR_SYNC, build_sentence, build_ubx

TYPE_CHECKING = False
if TYPE_CHECKING:
    Names = tuple[str, ...]

_ALLYSTAR_BITS = {"GPS": 0x01, "GLO": 0x02, "BDS": 0x04, "GAL": 0x10}
_ALLYSTAR_L5_B2A = 0x8200
"""Both second bands; the public examples set them together, with GPS and BeiDou."""
_ALLYSTAR_KINDS = {
    "GGA": 0, "GLL": 1, "GSA": 2, "GSV": 4, "RMC": 5, "VTG": 6, "ZDA": 7, "GST": 8,
}  # fmt: skip
_ALLYSTAR_STARTS = {"cold": 1, "warm": 2, "hot": 3}
_ST_BITS = {"GPS": 1, "GLO": 2, "GAL": 8, "BDS": 128}
_ST_KINDS = {
    "GGA": 0x2, "GSA": 0x4, "VTG": 0x10, "RMC": 0x40, "GSV": 0x80000, "GLL": 0x100000,
}  # fmt: skip
_TRIMBLE_KINDS = {
    "GGA": 0x01, "GLL": 0x02, "VTG": 0x04, "GSV": 0x08, "GSA": 0x10, "ZDA": 0x20, "RMC": 0x100,
}  # fmt: skip
_TRIMBLE_ANTENNA = 0x2000
"""`$PTNLRBA`, the state of the antenna: it stays."""
_TRIMBLE_STARTS = {"hot": "H", "warm": "W", "cold": "C"}


def _numbers(kinds: "Names", known: "dict[str, int]", maker: str) -> "list[int]":
    """Return the number of each kind."""
    for kind in kinds:
        if kind not in known:
            raise DriverError("sentences: no number of %s is known for %s" % (kind, maker))
    return [known[kind] for kind in kinds]


def _frame(number: int, payload: bytes) -> bytes:
    """Return a frame of class CFG."""
    return build_ubx(0x06, number, payload, ALLYSTAR_SYNC)


class AllystarCommands:
    """Binary frames of class 6. The receiver acknowledges with frames."""

    def systems(self, systems: "Names") -> "list[bytes]":
        """CFG-NAVSAT: a mask of signals."""
        mask = sum([_ALLYSTAR_BITS[system] for system in systems])
        if "GPS" in systems and "BDS" in systems:
            mask |= _ALLYSTAR_L5_B2A
        return [_frame(0x0C, mask.to_bytes(4, "little"))]

    def kinds(self, kinds: "Names", _rate_ms: int) -> "list[bytes]":
        """CFG-MSG: class 0xF0, number of the kind, interval in fixes."""
        return [
            _frame(0x01, bytes((0xF0, number, int(kind in kinds))))
            for kind, number in _ALLYSTAR_KINDS.items()
        ]

    def rate(self, _rate_ms: int, _kinds: "Names") -> "list[bytes]":
        """No command is public."""
        raise DriverError("rate: no command is known for allystar")

    def baud(self, baud: int) -> "list[bytes]":
        """CFG-PRT of UART 0."""
        return [_frame(0x00, bytes(4) + baud.to_bytes(4, "little"))]

    def save(self) -> "list[bytes]":
        """CFG-CFG: clear nothing, save all."""
        return [_frame(0x09, bytes(4) + b"\x2f\x00\x00\x00")]

    def start(self, start: str) -> "list[bytes]":
        """CFG-SIMPLERST."""
        return [_frame(0x40, bytes((_ALLYSTAR_STARTS[start],)))]


class StCommands:
    """`$PSTM…` commands. A parameter acts after it is saved and the receiver has restarted."""

    def systems(self, systems: "Names") -> "list[bytes]":
        """PSTMSETCONSTMASK: the sum of GPS 1, GLONASS 2, Galileo 8, BeiDou 128."""
        mask = sum([_ST_BITS[system] for system in systems])
        return [build_sentence("PSTMSETCONSTMASK,%d" % mask)]

    def kinds(self, kinds: "Names", _rate_ms: int) -> "list[bytes]":
        """Parameter 201, the list of messages: set bits (mode 1), then clear bits (mode 2).

        The other bits stay: they are the vendor's own messages.
        """
        wanted = sum(_numbers(kinds, _ST_KINDS, "st"))
        unwanted = sum(_ST_KINDS.values()) - wanted
        return self._store(["1201,0x%x,1" % wanted, "1201,0x%x,2" % unwanted])

    def _store(self, settings: "list[str]") -> "list[bytes]":
        commands = [build_sentence("PSTMSETPAR," + setting) for setting in settings]
        return commands + [build_sentence("PSTMSAVEPAR"), build_sentence("PSTMSRR")]

    def rate(self, rate_ms: int, _kinds: "Names") -> "list[bytes]":
        """Parameter 303: seconds between fixes."""
        return self._store(["1303,%d.%d" % (rate_ms // 1000, rate_ms % 1000 // 100)])

    def baud(self, _baud: int) -> "list[bytes]":
        """The public sources contradict each other."""
        raise DriverError("baud: no command is known for st")

    def save(self) -> "list[bytes]":
        """PSTMSAVEPAR."""
        return [build_sentence("PSTMSAVEPAR")]

    def start(self, start: str) -> "list[bytes]":
        """PSTMHOT, PSTMWARM, PSTMCOLD."""
        return [build_sentence("PSTM" + start.upper())]


class TrimbleCommands:
    """`$PTNLS…` commands; the receiver replies `$PTNLR…,A`."""

    def systems(self, systems: "Names") -> "list[bytes]":
        """The receivers have GPS only; nothing to send."""
        if systems != ("GPS",):
            raise DriverError("constellations: this maker's receivers have GPS only")
        return []

    def kinds(self, kinds: "Names", rate_ms: int) -> "list[bytes]":
        """PTNLSNM: a mask of sentences, and their interval in seconds."""
        if rate_ms % 1000 or not 1000 <= rate_ms <= 99_000:
            raise DriverError("rate: %d ms is not 1 to 99 whole seconds" % rate_ms)
        mask = sum(_numbers(kinds, _TRIMBLE_KINDS, "trimble")) | _TRIMBLE_ANTENNA
        return [build_sentence("PTNLSNM,%04X,%02d" % (mask, rate_ms // 1000))]

    def rate(self, rate_ms: int, kinds: "Names") -> "list[bytes]":
        """The rate is part of the request for sentences."""
        return self.kinds(kinds or ("RMC", "GGA", "GSA", "GSV", "ZDA"), rate_ms)

    def baud(self, baud: int) -> "list[bytes]":
        """PTNLSPT: 8N1, NMEA in and out."""
        return [build_sentence("PTNLSPT,%06d,8,N,1,4,4" % baud)]

    def save(self) -> "list[bytes]":
        """PTNLSRT with storage 2: write to flash, hot start."""
        return [build_sentence("PTNLSRT,H,2,,")]

    def start(self, start: str) -> "list[bytes]":
        """PTNLSRT: H, W or C."""
        return [build_sentence("PTNLSRT,%s" % _TRIMBLE_STARTS[start])]
