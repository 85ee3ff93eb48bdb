# SPDX-License-Identifier: Apache-2.0
"""Which rows of a register table hold states, and which of their bits are alarms.

Does not find measured values and outputs; see `hil.tools.commission.inputs.row_roles`. The rule is
that of the safe side: what is not understood is asked, and until then no output is moved.

- A bit has the meaning that the table writes after its name: `(alarm)`, `(alarm at 0)`, `(state)`.
- Without it, a name such as "no leak" or "pump OK" is not understood: it can be the good state.
- A bit of an alarm word, and a bit that is named as an alarm, is an alarm.
- A bit of another register is a state if each word of its name is known. Else it is not understood.
- A register without names of bits, unit and role is an alarm word by its name, a plain number by
  its name, or it is not understood.
"""

import re

from hil.tools.commission.register_table import BITS, WIDE_BITS, TableBit, TableRow

MONITOR = "monitor"
"""Role of a row that is only read."""
ALARM, ALARM_AT_0, STATE = "alarm", "alarm at 0", "state"
_ALARM_STEMS = (
    *("alarm", "alm", "fault", "flt", "fail", "warn", "err", "trip", "leak", "emerg", "estop"),
    *("interlock", "critical", "danger", "st\u00f6r", "leck", "fehler"),
)
_STATUS = "status"
_GOOD_WORDS = (
    *("no", "not", "non", "ok", "okay", "good", "healthy", "normal", "free", "clear", "cleared"),
    *("available", "valid", "without", "inactive", "disabled", "acknowledged", "reset", "kein"),
)
_STATE_WORDS = (
    *("running", "run", "on", "off", "started", "starting", "stopped", "stopping", "standby"),
    *("idle", "ready", "remote", "local", "auto", "automatic", "manual", "hand", "mode", "enabled"),
    *("enable", "active", "open", "opened", "opening", "closed", "closing", "lead", "lag", "duty"),
    *("master", "primary", "secondary", "pump", "pumps", "fan", "fans", "valve", "unit", "cdu"),
    *("cooling", "heating", "power", "powered", "control", "controlled", "a", "b", "is", "the"),
)
_NUMBER_WORDS = (
    *(
        "hours",
        "runtime",
        "uptime",
        "counter",
        "count",
        "serial",
        "version",
        "firmware",
        "software",
    ),
    *("hardware", "model", "type", "id", "address", "number", "year", "month", "day", "hour"),
    *("minute", "second", "date", "time", "timestamp", "clock", "heartbeat", "spare", "reserved"),
    *("factor", "ratio", "energy", "speed", "frequency", "voltage", "current", "ph", "heartbeats"),
)
_INTEGERS = ("u16", "i16", "u32", "i32")


def split_words(name: str) -> list[str]:
    """Return the words of a name in small letters, also those of "PumpFault"."""
    return re.findall(r"[^\W\d_]+", re.sub("(?<=[a-z])(?=[A-Z])", " ", name).casefold())


def is_flags(row: TableRow) -> bool:
    """Return whether a register holds bits."""
    is_plain = not row.unit and not row.role and row.kind in _INTEGERS
    return row.kind in (BITS, WIDE_BITS) or (is_plain and bool(_state_word(row.name)))


def is_alarm_word(row: TableRow) -> bool:
    """Return whether a register is named as an alarm: each of its bits is one."""
    return _state_word(row.name) not in ("", _STATUS)


def bit_meaning(row: TableRow, bit: TableBit) -> str:
    """Return `ALARM`, `ALARM_AT_0` or `STATE`; empty: the bit is not understood."""
    if bit.meaning:
        return bit.meaning
    words = split_words(bit.name)
    if any(word in _GOOD_WORDS for word in words):
        return ""
    if is_alarm_word(row) or _state_word(bit.name) not in ("", _STATUS):
        return ALARM
    return STATE if words and all(word in _STATE_WORDS for word in words) else ""


def describe_alarm(row: TableRow) -> str:
    """Return what the command takes a row for that is named as an alarm; empty if it is clear."""
    if row.bits or row.role or not _state_word(row.name):
        return ""
    if not is_flags(row):
        return f"{row.name!r} is no alarm word: it is a value" if row.unit else ""
    if is_alarm_word(row):
        return f"{row.name!r} has no names of bits: each bit that is on is an alarm"
    return ""


def describe_not_understood(row: TableRow, *, is_measured: bool = False) -> str:
    """Return the line of a row that can show an alarm which the command does not see; or empty.

    `is_measured`: the row resembles a point that the agent knows.
    """
    if row.role.casefold() == MONITOR:
        return ""
    if row.bits:
        unclear = [f"{n} {bit.name!r}" for n, bit in row.bits.items() if not bit_meaning(row, bit)]
        return _ask_bits(row, unclear) if unclear else ""
    if row.role or row.unit or (is_flags(row) and is_alarm_word(row)):
        return ""
    if not _state_word(row.name) and (is_measured or row.is_written or _is_number(row.name)):
        return ""
    return (
        f"{row.name!r} can show an alarm, and has no names of bits: name them in the column "
        f"`bits`, or give it the role {MONITOR} if it shows none"
    )


def _ask_bits(row: TableRow, unclear: list[str]) -> str:
    return (
        f"{row.name!r}, bit {', '.join(unclear)}: is it an alarm? Write ({ALARM}), ({ALARM_AT_0}) "
        f"or ({STATE}) after its name, or give the row the role {MONITOR} if it shows no alarm"
    )


def _is_number(name: str) -> bool:
    return any(word in _NUMBER_WORDS for word in split_words(name))


def _state_word(name: str) -> str:
    """Return the word by which a name is that of an alarm or status; an alarm comes first."""
    words = split_words(name)
    found = [stem for stem in _ALARM_STEMS for word in words if word.startswith(stem)]
    return found[0] if found else _STATUS if _STATUS in words else ""
