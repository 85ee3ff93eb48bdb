# SPDX-License-Identifier: Apache-2.0
"""Which rows of a register table hold states, and which of their bits are alarms.

Does not find measured values and outputs; see `hil.tools.commission.inputs.row_roles`. The rule is
that of the safe side: what is not understood is asked, and until then no output is moved.

- A bit has the meaning that the table writes after its name: `(alarm)`, `(alarm at 0)`, `(state)`.
- A bit is an alarm at 1 if each word of its name is that of an alarm or of its subject. In a
  register that is not named as an alarm, one of them is that of an alarm.
- A bit of another register is a state if each word of its name is that of a state.
- Any other bit is not understood: "no leak", "pump OK", "interlock closed" can be a good state.
- A register without names of bits, unit and role is an alarm word or a plain number if each word of
  its name is known. Else it is not understood, and so is a count or a code of the past.
"""

from hil.tools.commission.inputs.state_words import (
    HISTORY_WORDS,
    PERMISSIVES,
    has_alarm_word,
    is_alarm,
    is_number,
    is_state,
    split_words,
)
from hil.tools.commission.register_table import BITS, WIDE_BITS, TableBit, TableRow

MONITOR = "monitor"
"""Role of a row that is only read."""
ALARM, ALARM_AT_0, STATE = "alarm", "alarm at 0", "state"
_STATUS = "status"
_INTEGERS = ("u16", "i16", "u32", "i32")


def is_flags(row: TableRow) -> bool:
    """Return whether a register holds bits."""
    is_plain = not row.unit and not row.role and row.kind in _INTEGERS
    return row.kind in (BITS, WIDE_BITS) or (is_plain and (is_alarm_word(row) or _is_status(row)))


def is_alarm_word(row: TableRow) -> bool:
    """Return whether a register is named as an alarm: each of its bits is one."""
    is_named = has_alarm_word(row.name) and is_alarm(row.name, is_register=True)
    return is_named and not _is_history(row)


def bit_meaning(row: TableRow, bit: TableBit) -> str:
    """Return `ALARM`, `ALARM_AT_0` or `STATE`; empty: the bit is not understood."""
    if bit.meaning:
        return bit.meaning
    if is_alarm(bit.name) and (is_alarm_word(row) or has_alarm_word(bit.name)):
        return ALARM
    is_asked = is_alarm_word(row) or any(word in PERMISSIVES for word in split_words(row.name))
    return STATE if is_state(bit.name) and not is_asked else ""


def describe_alarm(row: TableRow) -> str:
    """Return what the command takes a row for that is named as an alarm; empty if it is clear."""
    if row.bits or row.role or not (is_alarm_word(row) or _is_status(row)):
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
    is_named = has_alarm_word(row.name) or _is_status(row)
    if not is_named and (is_measured or row.is_written or is_number(row.name)):
        return ""
    if _is_history(row):
        return (
            f"{row.name!r} is a count or a code of alarms, perhaps of present ones: give it the "
            f"role {MONITOR} if it shows only the past"
        )
    return (
        f"{row.name!r} can show an alarm, and has no names of bits: name them in the column "
        f"`bits`, or give it the role {MONITOR} if it shows none"
    )


def _ask_bits(row: TableRow, unclear: list[str]) -> str:
    return (
        f"{row.name!r}, bit {', '.join(unclear)}: is it an alarm? Write ({ALARM}), ({ALARM_AT_0}) "
        f"or ({STATE}) after its name, or give the row the role {MONITOR} if it shows no alarm"
    )


def _is_status(row: TableRow) -> bool:
    return _STATUS in split_words(row.name)


def _is_history(row: TableRow) -> bool:
    """Return whether a register is named as a count of alarms, or as a code of the past."""
    words = split_words(row.name)
    return has_alarm_word(row.name) and any(word in HISTORY_WORDS for word in words)
