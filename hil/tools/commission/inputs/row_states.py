# SPDX-License-Identifier: Apache-2.0
"""Which rows of a register table hold states, and which of their bits are alarms.

Does not find measured values and outputs; see `hil.tools.commission.inputs.row_roles`. The rule is
that of the safe side: what is not understood is asked, and until then no output is moved.

- A bit has the meaning that the table writes after its name: `(alarm)`, `(alarm at 0)`, `(state)`.
- A bit is an alarm at 1 if each word of its name is that of an alarm or of its subject. In a
  register that is not named as an alarm, one of them is that of an alarm.
- A bit of another register is a state if each word of its name is that of a state.
- A bit without a name is an alarm in a register of alarms, and so is a value with a bit that no
  named value has.
- Any other bit is not understood: "no leak", "pump OK", "interlock closed" can be a good state.
- A register without names of bits, unit and role is an alarm word or a plain number if each word of
  its name is known. Else it is not understood, and so is a count or a code of the past.
"""

from hil.tools.commission.inputs.register_table import BITS, WIDE_BITS, TableBit, TableRow
from hil.tools.commission.inputs.state_words import (
    HISTORY_WORDS,
    PERMISSIVES,
    are_exclusive,
    has_alarm_word,
    is_alarm,
    is_command,
    is_number,
    is_state,
    is_unit,
    split_words,
)

MONITOR = "monitor"
"""Role of a row that is only read."""
ALARM, ALARM_AT_0, STATE = "alarm", "alarm at 0", "state"
_STATUS = "status"
_FEW_MASKS = 3
_INTEGERS = ("u16", "i16", "u32", "i32")


def is_flags(row: TableRow) -> bool:
    """Return whether a register holds bits."""
    is_plain = not row.unit and not row.role and row.kind in _INTEGERS
    if row.values:
        return False
    return row.kind in (BITS, WIDE_BITS) or (is_plain and (is_alarm_word(row) or _is_status(row)))


def is_alarm_word(row: TableRow) -> bool:
    """Return whether a register is named as an alarm: each of its bits is one."""
    is_named = has_alarm_word(row.name) and is_alarm(row.name, is_register=True)
    return is_named and not _is_history(row)


def bit_meaning(row: TableRow, bit: TableBit) -> str:
    """Return `ALARM`, `ALARM_AT_0` or `STATE`; empty: the bit is not understood."""
    if bit.meaning:
        return bit.meaning
    if has_alarm_word(row.name) and not is_alarm(row.name, is_register=True):
        return ""  # a word or a sign of the register can turn the meaning of all its bits
    if is_alarm(bit.name) and (is_alarm_word(row) or has_alarm_word(bit.name)):
        return ALARM
    is_asked = is_alarm_word(row) or any(word in PERMISSIVES for word in split_words(row.name))
    return STATE if is_state(bit.name) and not is_asked else ""


def describe_alarm(row: TableRow) -> str:
    """Return what the command takes a row for that is named as an alarm; empty if it is clear."""
    if row.bits or row.values or row.role or not (is_alarm_word(row) or _is_status(row)):
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
    if row.values:
        return _describe_values(row)
    if row.bits:
        return _describe_bits(row)
    if row.role or is_unit(row.unit) or (is_flags(row) and is_alarm_word(row)):
        return ""
    is_named = has_alarm_word(row.name) or _is_status(row)
    is_clear = is_measured or (row.is_written and is_command(row.name))
    is_clear = is_clear or (not row.unit and is_number(row.name))
    if not is_named and is_clear:
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


def _describe_bits(row: TableRow) -> str:
    named = [bit.name for bit in row.bits.values() if not bit.meaning]
    if are_exclusive(named):
        return (
            f"{row.name!r}, {', '.join(named)}: are these bits or values? Write values into the "
            f"column `values`, or ({ALARM}) or ({STATE}) after the name of each bit"
        )
    if _is_count_unclear(row.bits):
        return (
            f"{row.name!r}, bits {', '.join(map(str, row.bits))}: bits count from 0. Are these "
            f"masks, or do they count from 1? Name bit 0 too, such as 0=spare ({STATE})"
        )
    unclear = [f"{n} {bit.name!r}" for n, bit in row.bits.items() if not bit_meaning(row, bit)]
    return _ask_bits(row, unclear) if unclear else ""


def value_meaning(value: TableBit) -> str:
    """Return `ALARM` or `STATE` of a named value; empty: it is not understood."""
    if value.meaning in (ALARM, STATE):
        return value.meaning
    if is_alarm(value.name) and has_alarm_word(value.name):
        return ALARM
    return STATE if is_state(value.name) else ""


def alarm_bits(values: dict[int, TableBit]) -> dict[int, tuple[str, bool]] | None:
    """Return (name, alarm at 0) of the bits that are on for the values that are alarms, only.

    A profile has alarms of bits, and no alarm of a value. None: no bits show these values. A value
    that the table does not name is an alarm if it has such a bit.
    """
    alarms = [value for value, entry in values.items() if value_meaning(entry) == ALARM]
    others = [value for value in values if value not in alarms]
    found: dict[int, tuple[str, bool]] = {}
    for value in alarms:
        at = _find_bit(value, others)
        if at is None:
            return None
        bit, is_inverted = at
        names = [found[bit][0]] if bit in found else []
        found[bit] = (" or ".join([*names, values[value].name]), is_inverted)
    return found


def _find_bit(value: int, others: list[int]) -> tuple[int, bool] | None:
    """Return the bit that a value has and no other one, or that only it has not: (bit, at 0)."""
    for is_inverted in (False, True):
        for bit in range(16):
            has = bool(value >> bit & 1) != is_inverted
            if has and not any(bool(other >> bit & 1) != is_inverted for other in others):
                if is_inverted and not others:
                    return None
                return bit, is_inverted
    return None


def _describe_values(row: TableRow) -> str:
    values = row.values or {}
    unclear = [f"{n} {value.name!r}" for n, value in values.items() if not value_meaning(value)]
    if unclear:
        return (
            f"{row.name!r}, value {', '.join(unclear)}: is it an alarm? Write ({ALARM}) or "
            f"({STATE}) after its name, or give the row the role {MONITOR} if it shows no alarm"
        )
    if alarm_bits(values) is None:
        alarms = [f"{n}={v.name}" for n, v in values.items() if value_meaning(v) == ALARM]
        return (
            f"{row.name!r}: its alarms ({', '.join(alarms)}) cannot be watched, because no bit of "
            f"the register is on for them alone; the role {MONITOR} says that another register of "
            "the table shows them"
        )
    return ""


def _is_count_unclear(bits: dict[int, TableBit]) -> bool:
    """Return whether the numbers of bits can be masks (1, 2, 4, 8), or count from 1."""
    are_masks = len(bits) >= _FEW_MASKS and all(number & (number - 1) == 0 for number in bits)
    return 0 not in bits and (1 in bits or are_masks)


def other_values(values: dict[int, TableBit]) -> list[int]:
    """Return the bits that are on for no named value: a value with one of them has no name."""
    return [bit for bit in range(16) if not any(value >> bit & 1 for value in values)]


def is_all_alarms(row: TableRow) -> bool:
    """Return whether each bit of a register is an alarm, also one that the table does not name."""
    meanings = {bit_meaning(row, bit) for bit in row.bits.values()}
    return is_alarm_word(row) or meanings == {ALARM}


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
