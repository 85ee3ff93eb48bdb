# SPDX-License-Identifier: Apache-2.0
"""Identity and settings of an Iridium 9602/9603: echo, result codes, profiles, registers, queries.

Source: ISU AT Command Reference (MAN0009) and the 9602 Developers' Guide. Texts of the revision
are those of a real 9602; their numbers have no meaning here. Hardware handshake, line speed and
numeric S-registers are stored and reported without an effect. Does not contain the commands of
short-burst data; see `sbd_modem`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

MODEL = "IRIDIUM 9600 Family SBD Transceiver"
MAKER = "Iridium"
REVISION = (
    "Call Processor Version: TA12003",
    "Modem DSP Version: 1.7 svn: 2358",
    "DBB Version: 0x0001 (ASIC)",
    "RFA Version: 0x0007 (SRFA2)",
    "NVM Version: KVS",
    "Hardware Version: BOOT07d4/9602NrvC-D/08/RAW0d",
    "BOOT Version: TA12003 (rev exported)",
)
_IDENTITY = (
    ("2400",),
    ("0000",),
    ("OK",),
    ("XXXXXXXX",),
    ("IRIDIUM",),
    ("8816",),
    ("1OK",),
    ("BOOT07d4/9602NrvC-D/08/RAW0d",),
)
_ENERGY_MODULUS = 1 << 26
_REGISTERS = 128
_REGISTER_DEFAULTS = {2: 43, 3: 13, 5: 8}
"""Escape character, line end, backspace."""


class IntegerSetting(NamedTuple):
    """An extended command of the form `+NAME=n`, `+NAME?` and `+NAME=?`."""

    largest: int
    default: int
    smallest: int = 0


SETTINGS = {
    "+SBDMTA": IntegerSetting(1, 1),
    "+SBDAREG": IntegerSetting(2, 0),
    "+SBDDSC": IntegerSetting(255, 0),
    "+SBDST": IntegerSetting(65_535, 0),
    "+IPR": IntegerSetting(9, 6, 1),
}


class Profile(NamedTuple):
    """What `&W` stores: echo, quiet, verbose, handshake and DTR option."""

    echo: bool = True
    quiet: bool = False
    verbose: bool = True
    flow: int = 3
    dtr: int = 2


class IsuSettings:
    """The settings; those in `profiles` and `values` are in non-volatile memory."""

    def __init__(self, serial: str) -> None:
        self.serial = serial
        self.profiles = [Profile(), Profile()]
        self.default_profile = 0
        self.values = {name: setting.default for name, setting in SETTINGS.items()}
        self.active = Profile()
        self.registers = _make_registers()
        self._energy_from = 0
        self._energy_at = 0

    def power_up(self) -> None:
        """Restore the default profile and the volatile settings."""
        self.active = self.profiles[self.default_profile]
        self.values["+SBDMTA"] = SETTINGS["+SBDMTA"].default
        self.registers = _make_registers()
        self._energy_from = self._energy_at = 0

    def basic(self, name: str, argument: str) -> list[str] | None:
        """Execute a basic command; return its lines of information, None for an error."""
        number = int(argument or "0") if name != "S" else 0
        if name == "S":
            return self._register(argument)
        if name in ("%R", "&V") and not argument:
            return self._view() if name == "&V" else self._list_registers()
        if name == "I":
            return list(_IDENTITY[number]) if number < len(_IDENTITY) else None
        handler = _BASIC.get(name)
        if handler is None or number > handler.largest:
            return None
        handler.apply(self, number)
        return []

    def _register(self, argument: str) -> list[str] | None:
        number, _, value = argument.rstrip("?").partition("=")
        if int(number) >= _REGISTERS or int(value or "0") > 255:
            return None
        if argument.endswith("?"):
            return [f"{self.registers[int(number)]:03d}"]
        self.registers[int(number)] = int(value)
        return []

    def _view(self) -> list[str]:
        texts = ["ACTIVE PROFILE:", _describe(self.active)]
        for i, profile in enumerate(self.profiles):
            texts += [f"STORED PROFILE {i}:", _describe(profile)]
        return texts

    def _list_registers(self) -> list[str]:
        return ["REG DEC HEX"] + [
            f"S{i:03d} {value:03d} {value:02X}H" for i, value in enumerate(self.registers[:32])
        ]

    def extended(self, name: str, argument: str, now: int) -> list[str] | None:
        """Execute an extended query or setting; return its lines, None for an error."""
        if name in SETTINGS:
            return self._integer(name, argument)
        if name == "+GEMON":
            return self._energy(argument, now)
        if name == "+CULK":
            return ["+CULK:0"] if argument == "?" else None
        lines: dict[str, tuple[str, ...]] = {
            "MI": (MAKER,), "MM": (MODEL,), "MR": REVISION, "SN": (self.serial,),
        }  # fmt: skip
        family, kind = name[:-2], name[-2:]
        if family in ("+CG", "+G") and kind in lines and argument in ("", "=?"):
            return [] if argument else list(lines[kind])
        return None

    def _integer(self, name: str, argument: str) -> list[str] | None:
        setting = SETTINGS[name]
        if argument == "?":
            return [f"{name}:{self.values[name]}"]
        if argument == "=?":
            return [f"{name}:({setting.smallest}-{setting.largest})"]
        digits = argument[1:]
        is_number = digits.isascii() and digits.isdigit() and len(digits) < 10
        if not is_number or not setting.smallest <= int(digits) <= setting.largest:
            return None
        self.values[name] = int(digits)
        return []

    def _energy(self, argument: str, now: int) -> list[str] | None:
        """Charge since power-up, in microamp hours; about 45 mA at 5 V."""
        charge = self._energy_from + (now - self._energy_at) * 45 // 3_600_000
        if argument == "":
            return [f"+GEMON:{charge % _ENERGY_MODULUS}"]
        if argument == "=?":
            return [f"+GEMON:(0-{_ENERGY_MODULUS - 1})"]
        digits = argument[1:]
        is_number = digits.isascii() and digits.isdigit() and len(digits) < 20
        if not is_number or int(digits) >= _ENERGY_MODULUS:
            return None
        self._energy_from, self._energy_at = int(digits), now
        return []


def _make_registers() -> list[int]:
    return [_REGISTER_DEFAULTS.get(number, 0) for number in range(_REGISTERS)]


def _describe(profile: Profile) -> str:
    return (
        f"E{profile.echo:d} Q{profile.quiet:d} V{profile.verbose:d} "
        f"&D{profile.dtr} &K{profile.flow}"
    )


class _Basic(NamedTuple):
    largest: int
    apply: Callable[[IsuSettings, int], None]


def _active(**fields: int) -> Callable[[IsuSettings, int], None]:
    (name,) = fields

    def apply(settings: IsuSettings, number: int) -> None:
        value: bool | int = number if fields[name] else bool(number)
        settings.active = settings.active._replace(**{name: value})  # type: ignore[arg-type]

    return apply


def _restore(settings: IsuSettings, number: int) -> None:
    settings.active = settings.profiles[number]


def _factory(settings: IsuSettings, _: int) -> None:
    settings.active = Profile()


def _store(settings: IsuSettings, number: int) -> None:
    settings.profiles[number] = settings.active


def _select(settings: IsuSettings, number: int) -> None:
    settings.default_profile = number


_BASIC = {
    "E": _Basic(1, _active(echo=0)),
    "Q": _Basic(1, _active(quiet=0)),
    "V": _Basic(1, _active(verbose=0)),
    "&D": _Basic(3, _active(dtr=1)),
    "&K": _Basic(6, _active(flow=1)),
    "Z": _Basic(1, _restore),
    "&F": _Basic(1, _factory),
    "&W": _Basic(1, _store),
    "&Y": _Basic(1, _select),
}
