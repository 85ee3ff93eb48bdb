# SPDX-License-Identifier: Apache-2.0
"""Line commands of emulated ST and Trimble receivers: tables as in `commands`.

ST: a parameter acts after PSTMSAVEPAR and PSTMSRR. Trimble: one mask for all sentences.

Sources: ST's Arduino and mbed drivers of the Teseo-LIV3F (PSTMCFGMSGL masks, PSTMNMEAREQUEST,
PSTMSETPAR with modes 1 and 2); Quectel's tool for the L26-DR (PSTMSETCONSTMASK). gpsd's probe of
the Copernicus (PTNLSNM), Trimble's packet 0x7A (its mask), public drivers (PTNLSPT, PTNLSRT).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hil.devices.gnss.elements import BEIDOU, GALILEO, GLONASS, GPS
from hil.devices.gnss.sentences import sentence

if TYPE_CHECKING:
    from hil.devices.gnss.receiver import GnssReceiver

Handler = Callable[["GnssReceiver", list[str], int], bool]
_COLD, _WARM, _HOT = 0, 1, 2
_ST_SYSTEMS = ((1, GPS), (2, GLONASS), (8, GALILEO), (128, BEIDOU))
_ST_MESSAGES = {1: "GGA", 2: "GSA", 4: "VTG", 6: "RMC", 19: "GSV", 20: "GLL"}
_TRIMBLE_MESSAGES = {0: "GGA", 1: "GLL", 2: "VTG", 3: "GSV", 4: "GSA", 5: "ZDA", 8: "RMC"}
_TRIMBLE_ANTENNA = 13


class StSettings:
    """The data block of an ST receiver: what was set, and what was saved."""

    def __init__(self) -> None:
        self._set: dict[str, int] = {}
        self._saved: dict[str, int] = {}

    def set_mask(self, receiver: GnssReceiver, fields: list[str], _: int) -> bool:
        """PSTMSETCONSTMASK."""
        mask = int(fields[0])
        chosen = [s for bit, s in _ST_SYSTEMS if mask & bit and s in receiver.dialect.signals]
        if not chosen:
            return False
        receiver.select_systems(chosen)
        return True

    def set_parameter(self, receiver: GnssReceiver, fields: list[str], _: int) -> bool:
        """PSTMSETPAR: configuration 1, parameter 201 (messages) or 303 (seconds)."""
        number, value = fields[0], fields[1]
        if number == "1303":
            self._set[number] = round(float(value) * 1000)
            return True
        if number != "1201":
            return False
        present = sum(
            1 << bit for bit, kind in _ST_MESSAGES.items() if receiver.rate_divisors.get(kind)
        )
        old = self._set.get(number, present)
        mode = fields[2] if len(fields) > 2 else "0"
        bits = int(value, 16)
        self._set[number] = {"0": bits, "1": old | bits, "2": old & ~bits}[mode]
        return True

    def save(self, _receiver: GnssReceiver, _fields: list[str], _now: int) -> bool:
        """PSTMSAVEPAR."""
        self._saved = dict(self._set)
        return True

    def restart_system(self, receiver: GnssReceiver, _fields: list[str], now: int) -> bool:
        """PSTMSRR: what was saved acts."""
        self._set = dict(self._saved)
        if "1201" in self._saved:
            for bit, kind in _ST_MESSAGES.items():
                receiver.rate_divisors[kind] = self._saved["1201"] >> bit & 1
        if "1303" in self._saved:
            receiver.change_period(self._saved["1303"] * 1000, now)
        receiver.restart(_HOT, now)
        return True


def st_table() -> dict[str, Handler]:
    """Return the commands of one ST receiver."""
    settings = StSettings()
    return {
        "PSTMSETCONSTMASK": settings.set_mask,
        "PSTMSETPAR": settings.set_parameter,
        "PSTMSAVEPAR": settings.save,
        "PSTMSRR": settings.restart_system,
        "PSTMHOT": lambda r, _, now: _restart(r, _HOT, now),
        "PSTMWARM": lambda r, _, now: _restart(r, _WARM, now),
        "PSTMCOLD": lambda r, _, now: _restart(r, _COLD, now),
    }


def _restart(receiver: GnssReceiver, kind: int, now: int) -> bool:
    receiver.restart(kind, now)
    return True


def st_answer(name: str, done: bool) -> str:
    """Return the reply: the name with OK or ERROR."""
    return sentence(f"{name}{'OK' if done else 'ERROR'}")


def _set_sentences(receiver: GnssReceiver, fields: list[str], now: int) -> bool:
    mask, seconds = int(fields[0], 16), int(fields[1])
    if not 1 <= seconds <= 255:
        return False
    for bit, kind in _TRIMBLE_MESSAGES.items():
        receiver.rate_divisors[kind] = mask >> bit & 1
    receiver.rate_divisors["ANT"] = mask >> _TRIMBLE_ANTENNA & 1
    receiver.change_period(seconds * 1_000_000, now)
    return True


def _set_port(receiver: GnssReceiver, fields: list[str], now: int) -> bool:
    baud = int(fields[0])
    if len(fields[0]) != 6 or fields[1:4] != ["8", "N", "1"] or not 4800 <= baud <= 115_200:
        return False
    receiver.change_baud(baud, now)
    return True


def trimble_table() -> dict[str, Handler]:
    """Return the commands of a Trimble receiver."""
    return {
        "PTNLSNM": _set_sentences,
        "PTNLSPT": _set_port,
        "PTNLSRT": lambda r, fields, now: _restart(
            r, {"H": _HOT, "W": _WARM, "C": _COLD}[fields[0]], now
        ),
    }


def trimble_answer(name: str, done: bool) -> str:
    """Return the reply: R in place of S, A accepted, V invalid."""
    return sentence(f"PTNLR{name[5:]},{'A' if done else 'V'}")
