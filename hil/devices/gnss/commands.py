# SPDX-License-Identifier: Apache-2.0
"""Vendor commands of emulated receivers: CASIC PCAS, Unicore commands, Quectel PQTM and PAIR.

ST and Trimble: `st_trimble`. Allystar: `allystar`.

The set of each vendor is a table from command name to handler. An unknown command has no effect;
the reply follows the vendor. Does not interpret UBX; see `ublox`. With the fault `ignores_commands`
the receiver acknowledges without effect; CASIC firmware did this with messages that it never sends.

Sources: CASIC protocol specification (PCAS00 to PCAS10); Unicore UM980 commands manual; Quectel
LC29H protocol specification (PQTM, PAIR). Only the commands for rates, systems, speed and restarts
are emulated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pynmea2 import NMEASentence

from hil.devices.gnss import st_trimble
from hil.devices.gnss.allystar import AllystarInterpreter
from hil.devices.gnss.elements import BEIDOU, GALILEO, GLONASS, GPS
from hil.devices.gnss.sentences import sentence
from hil.devices.gnss.ublox import UbloxInterpreter

if TYPE_CHECKING:
    from hil.devices.gnss.receiver import GnssReceiver

_COLD, _WARM, _HOT = 0, 1, 2
_BAUDS = (4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600)
_MAX_LINE = 512

CommandHandler = Callable[["GnssReceiver", list[str], int], bool]
"""Executes a command with its fields; returns false if this is not possible."""


def _set_baud(receiver: GnssReceiver, baud: int, now: int) -> bool:
    if baud not in _BAUDS:
        return False
    receiver.change_baud(baud, now)
    return True


def _set_period(receiver: GnssReceiver, ms: int, now: int) -> bool:
    if not 50 <= ms <= 10_000:
        return False
    receiver.change_period(ms * 1000, now)
    return True


def _select_systems(receiver: GnssReceiver, requested: list[str]) -> bool:
    supported = [
        signal for signal in receiver.dialect.signals if signal in receiver.dialect.talkers
    ]
    chosen = [s for s in supported if s in requested]
    if not chosen:
        return False
    receiver.select_systems(chosen)
    return True


def _restart(receiver: GnssReceiver, kind: int, now: int) -> bool:
    receiver.restart(kind, now)
    return True


# CASIC: no replies.

_PCAS_BAUDS = dict(enumerate((4800, 9600, 19_200, 38_400, 57_600, 115_200)))
_PCAS_KINDS = ("GGA", "GLL", "GSA", "GSV", "RMC", "VTG", "ZDA", "ANT")


def _set_pcas_rates(receiver: GnssReceiver, fields: list[str], _: int) -> bool:
    for kind, every in zip(_PCAS_KINDS, fields, strict=False):
        if every:
            receiver.rate_divisors[kind] = int(every)
    return True


def _set_pcas_systems(receiver: GnssReceiver, fields: list[str], _: int) -> bool:
    bits = int(fields[0])
    return _select_systems(
        receiver, [s for i, s in enumerate((GPS, BEIDOU, GLONASS)) if bits & 1 << i]
    )


_CASIC: dict[str, CommandHandler] = {
    "PCAS00": lambda _, __, ___: True,  # save
    "PCAS01": lambda r, fields, now: _set_baud(r, _PCAS_BAUDS.get(int(fields[0]), 0), now),
    "PCAS02": lambda r, fields, now: _set_period(r, int(fields[0]), now),
    "PCAS03": _set_pcas_rates,
    "PCAS04": _set_pcas_systems,
    "PCAS05": lambda _, __, ___: True,  # NMEA version: always 4.1
    "PCAS10": lambda r, fields, now: _restart(r, (_HOT, _WARM, _COLD, _COLD)[int(fields[0])], now),
}

# Unicore: commands in words, each with a reply.

_UNICORE_MASKS = {"GPS": GPS, "BDS": BEIDOU, "GLO": GLONASS, "GAL": GALILEO}
_UNICORE_KINDS = ("RMC", "GGA", "GLL", "GSA", "GSV", "VTG", "ZDA", "GST", "GNS")


def _unicore_config(receiver: GnssReceiver, fields: list[str], now: int) -> bool:
    if len(fields) == 2 and fields[0].startswith("COM"):
        return _set_baud(receiver, int(fields[1]), now)
    if fields[:1] == ["PPS"]:
        return receiver.timing.set_unicore_pulse(fields[1:])
    return bool(fields) and fields[0] in ("SIGNALGROUP", "NMEAVERSION", "RTK", "ANTENNA")


def _unicore_mask(receiver: GnssReceiver, fields: list[str], on: bool) -> bool:
    system = _UNICORE_MASKS.get(fields[0] if fields else "")
    if system is None:
        return False
    systems = [s for s in receiver.systems if s != system] + ([system] if on else [])
    return _select_systems(receiver, systems)


def _unicore_unlog(receiver: GnssReceiver, _: list[str], __: int) -> bool:
    for kind in receiver.rate_divisors:
        receiver.rate_divisors[kind] = 0
    return True


def _unicore_reset(receiver: GnssReceiver, fields: list[str], now: int) -> bool:
    cold = {"ALL", "EPHEM", "ALMANAC"} & set(fields)
    return _restart(receiver, _COLD if cold else _HOT, now)


def _unicore_log(receiver: GnssReceiver, word: str, fields: list[str], now: int) -> bool:
    """`GPRMC 1`, `GNGGA COM1 0.5`, `GPGSV ONCHANGED`: set the period of a sentence, s."""
    kind = word[2:5]
    if kind not in _UNICORE_KINDS:
        return False
    seconds = float(fields[-1]) if fields else 1.0
    if seconds <= 0:
        receiver.rate_divisors[kind] = 0
        return True
    if seconds * 1e6 < receiver.period_us:
        receiver.change_period(int(seconds * 1e6), now)
    receiver.rate_divisors[kind] = max(1, round(seconds * 1e6 / receiver.period_us))
    return True


_UNICORE: dict[str, CommandHandler] = {
    "CONFIG": _unicore_config,
    "MASK": lambda r, fields, _: _unicore_mask(r, fields, False),
    "UNMASK": lambda r, fields, _: _unicore_mask(r, fields, True),
    "UNLOG": _unicore_unlog,
    "RESET": _unicore_reset,
    "FRESET": lambda r, _, now: _restart(r, _COLD, now),
    "SAVECONFIG": lambda _, __, ___: True,
    "MODE": lambda _, __, ___: True,
}

# Quectel: PQTM replies OK or ERROR, PAIR replies with PAIR001.

_PAIR_KINDS = ("GGA", "GLL", "GSA", "GSV", "RMC", "VTG", "ZDA", "GRS", "GST")
_CONSTELLATIONS = (GPS, GLONASS, GALILEO, BEIDOU)


def _set_system_flags(receiver: GnssReceiver, fields: list[str]) -> bool:
    return _select_systems(
        receiver, [s for s, on in zip(_CONSTELLATIONS, fields, strict=False) if on == "1"]
    )


def _is_set(fields: list[str]) -> bool:
    """Return whether a PQTM command sets a value (`W`)."""
    return fields[:1] == ["W"]


def _set_pair_rate(receiver: GnssReceiver, fields: list[str], _: int) -> bool:
    if not 0 <= int(fields[0]) < len(_PAIR_KINDS) or _PAIR_KINDS[int(fields[0])] == "GRS":
        return False
    receiver.rate_divisors[_PAIR_KINDS[int(fields[0])]] = int(fields[1])
    return True


_QUECTEL: dict[str, CommandHandler] = {
    "PQTMHOT": lambda r, _, now: _restart(r, _HOT, now),
    "PQTMWARM": lambda r, _, now: _restart(r, _WARM, now),
    "PQTMCOLD": lambda r, _, now: _restart(r, _COLD, now),
    "PQTMCFGCNST": lambda r, fields, _: _is_set(fields) and _set_system_flags(r, fields[1:]),
    "PQTMCFGUART": lambda r, fields, now: _is_set(fields) and _set_baud(r, int(fields[-1]), now),
    "PQTMCFGFIXRATE": lambda r, fields, now: (
        _is_set(fields) and _set_period(r, int(fields[1]), now)
    ),
    "PQTMSAVEPAR": lambda _, __, ___: True,
    "PQTMCFGPPS": lambda r, fields, _: _is_set(fields) and r.timing.set_quectel_pulse(fields[1:]),
    "PAIR004": lambda r, _, now: _restart(r, _HOT, now),
    "PAIR005": lambda r, _, now: _restart(r, _WARM, now),
    "PAIR006": lambda r, _, now: _restart(r, _COLD, now),
    "PAIR007": lambda r, _, now: _restart(r, _COLD, now),
    "PAIR050": lambda r, fields, now: _set_period(r, int(fields[0]), now),
    "PAIR062": _set_pair_rate,
    "PAIR066": lambda r, fields, _: _set_system_flags(r, fields),
    "PAIR100": lambda _, __, ___: True,
    "PAIR513": lambda _, __, ___: True,  # save
    "PAIR864": lambda r, fields, now: _set_baud(r, int(fields[2]), now),
}

_TABLES: dict[str, Callable[[], dict[str, CommandHandler]]] = {
    "casic": lambda: _CASIC,
    "quectel": lambda: _QUECTEL,
    "st": st_trimble.st_table,
    "trimble": st_trimble.trimble_table,
}


class LineInterpreter:
    """Splits the input into lines and executes the commands of `maker`."""

    def __init__(self, maker: str) -> None:
        self._maker = maker
        self._buffer = b""
        self._table = _TABLES[maker]() if maker in _TABLES else {}
        self._answer = _ANSWERS.get(maker)

    def __call__(self, receiver: GnssReceiver, data: bytes, now: int) -> list[bytes]:
        """Process bytes; return the replies."""
        self._buffer = (self._buffer + data)[-_MAX_LINE:]
        answers = []
        while b"\n" in self._buffer or b"\r" in self._buffer:
            end = min(i for i in (self._buffer.find(b"\n"), self._buffer.find(b"\r")) if i >= 0)
            line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
            text = line.decode("ascii", "replace").strip()
            if text:  # `strip` also removes control characters that the one of bytes keeps
                answers += self._execute(receiver, text, now)
        return [answer.encode("ascii", "replace") for answer in answers]

    def _execute(self, receiver: GnssReceiver, line: str, now: int) -> list[str]:
        if self._maker == "unicore":
            command, *fields = line.split()
            handler = _UNICORE.get(command) or (
                lambda r, fields, now: _unicore_log(r, command, fields, now)
            )
            return [_unicore_answer(line, _carry_out(receiver, handler, fields, now))]
        body, _, digits = line.removeprefix("$").partition("*")
        if not line.startswith("$") or digits.upper() != f"{NMEASentence.checksum(body):02X}":
            receiver.count_ignored(len(line))
            return []
        name, *fields = body.split(",")
        table = self._table
        if name not in table:
            receiver.count_ignored(len(line))
            return [_unknown_answer(name)] if self._maker == "quectel" else []
        done = _carry_out(receiver, table[name], fields, now)
        return [] if self._answer is None else [self._answer(name, done)]


def _carry_out(
    receiver: GnssReceiver, handler: CommandHandler, fields: list[str], now: int
) -> bool:
    receiver.count_command()
    if receiver.ignores_commands:
        return True
    try:
        return handler(receiver, fields, now)
    except (ValueError, IndexError, KeyError):
        return False


def _unicore_answer(line: str, done: bool) -> str:
    """Build a reply. Its checksum includes the `$`."""
    body = f"command,{line},response: {'OK' if done else 'PARSING FAILED NO MATCHING FUNC'}"
    return f"${body}*{NMEASentence.checksum('$' + body):02X}\r\n"


def _quectel_answer(name: str, done: bool) -> str:
    if name.startswith("PAIR"):
        return sentence(f"PAIR001,{name[4:]},{0 if done else 4}")
    return sentence(f"{name},{'OK' if done else 'ERROR,1'}")


def _unknown_answer(name: str) -> str:
    if name.startswith("PAIR"):
        return sentence(f"PAIR001,{name[4:]},3")
    return sentence(f"{name},ERROR,3")


_ANSWERS: dict[str, Callable[[str, bool], str]] = {
    "quectel": _quectel_answer,
    "st": st_trimble.st_answer,
    "trimble": st_trimble.trimble_answer,
}


def make_interpreter(maker: str) -> Callable[[GnssReceiver, bytes, int], list[bytes]] | None:
    """Make the interpreter for the commands of `maker`; None if it has none."""
    if maker == "ublox":
        return UbloxInterpreter()
    if maker == "allystar":
        return AllystarInterpreter()
    return LineInterpreter(maker) if maker else None
