# SPDX-License-Identifier: Apache-2.0
"""Which rows of a register table hold states, and which of their bits are alarms.

Does not find measured values and outputs; see `hil.tools.commission.inputs.row_roles`. The rule is
that of the safe side: what is not stated in a closed notation is asked, and until then no output is
moved. Without a question are only:

- a bit or value with its meaning in brackets: `(alarm)`, `(alarm at 0)`, `(state)`;
- a bit whose whole name is a known phrase, in a register whose whole name is one
  (`hil.tools.commission.inputs.known_phrases`);
- numbers that can only be those of bits: `bit 0=…`, masks `0x01=…`, or alarms alone from bit 0 on;
- a register without names of bits whose whole name is that of an alarm word;
- a measured value with a unit, whose name is that of a quantity of this unit;
- a plain number or a command whose whole name is known.

The profile of a row that is asked has the alarms that its words mean (`bit_meaning`): thus the
agent sees them after the answer, too. A bit without a name is an alarm in a register of alarms, and
so is a value with a bit that no named value has.
"""

from hil.tools.commission.inputs.bit_names import BY_BIT, MASKS, TableBit
from hil.tools.commission.inputs.known_phrases import (
    ALARM_PHRASES,
    ALARM_REGISTERS,
    COMMAND_PHRASES,
    NUMBER_PHRASES,
    REMOTE_PHRASES,
    RUNNING_PHRASES,
    SPARE_PHRASES,
    STATE_PHRASES,
    STATE_REGISTERS,
    STATUS_REGISTERS,
    is_phrase,
    is_quantity,
    is_register,
)
from hil.tools.commission.inputs.register_table import BITS, WIDE_BITS, TableRow
from hil.tools.commission.inputs.state_words import (
    HISTORY_WORDS,
    PERMISSIVES,
    has_alarm_word,
    is_alarm,
    is_state,
    split_words,
)

MONITOR = "monitor"
"""Role of a row that is only read."""
ALARM, ALARM_AT_0, STATE = "alarm", "alarm at 0", "state"
_STATUS = "status"
_FEW_MASKS = 3
_LEAST_MASK = 4
_INTEGERS = ("u16", "i16", "u32", "i32")


def is_flags(row: TableRow) -> bool:
    """Return whether a register holds bits."""
    is_plain = not row.unit and not row.role and row.kind in _INTEGERS
    if row.values:
        return False
    return row.kind in (BITS, WIDE_BITS) or (is_plain and (is_alarm_word(row) or _is_status(row)))


def is_alarm_word(row: TableRow) -> bool:
    """Return whether a register is named as an alarm: each of its bits is one."""
    if is_register(row.name, ALARM_REGISTERS):
        return True
    is_named = has_alarm_word(row.name) and is_alarm(row.name, is_register=True)
    return is_named and not _is_history(row)


def bit_meaning(row: TableRow, bit: TableBit) -> str:
    """Return `ALARM`, `ALARM_AT_0` or `STATE`; empty: the bit is not understood."""
    if bit.meaning:
        return bit.meaning
    if _is_clear_bit(row, bit):
        return ALARM if is_phrase(bit.name, ALARM_PHRASES) else STATE
    if has_alarm_word(row.name) and not is_alarm(row.name, is_register=True):
        return ""  # a word or a sign of the register can turn the meaning of all its bits
    if is_alarm(bit.name) and (is_alarm_word(row) or has_alarm_word(bit.name)):
        return ALARM
    is_asked = is_alarm_word(row) or any(word in PERMISSIVES for word in split_words(row.name))
    return STATE if is_state(bit.name) and not is_asked else ""


def describe_alarm(row: TableRow) -> str:
    """Return what the command takes a row for that is named as an alarm; empty if it is clear."""
    if row.bits or row.values or row.role or not (is_flags(row) and is_alarm_word(row)):
        return ""
    return f"{row.name!r} has no names of bits: each bit that is on is an alarm"


def describe_not_understood(row: TableRow, *, is_point: bool = False) -> str:
    """Return the line of a row that can show an alarm which the command does not see; or empty.

    `is_point`: the row is a point that the agent knows.
    """
    if row.role.casefold() == MONITOR:
        return ""
    if row.values:
        return _describe_values(row)
    if row.bits:
        return _describe_bits(row)
    if row.role or is_point or _is_clear(row):
        return ""
    if _is_history(row):
        return (
            f"{row.name!r} is a count or a code of alarms, perhaps of present ones: give it the "
            f"role {MONITOR} if it shows only the past"
        )
    unit = f" (unit {row.unit})" if row.unit else ""
    return (
        f"{row.name!r}{unit} can show an alarm, and has no names of bits: name them in the column "
        f"`bits`, or give it the role {MONITOR} if it shows none"
    )


def _is_clear(row: TableRow) -> bool:
    """Return whether the whole name of a row without names of bits is a known one."""
    if row.unit:
        return is_quantity(row.name, row.unit)
    is_word = row.kind in (*_INTEGERS, BITS) and row.scale == 1
    if is_word and is_register(row.name, ALARM_REGISTERS):
        return True
    is_command = row.is_written and is_phrase(row.name, COMMAND_PHRASES)
    return is_command or is_phrase(row.name, NUMBER_PHRASES)


def _describe_bits(row: TableRow) -> str:
    unclear = [f"{n} {bit.name!r}" for n, bit in row.bits.items() if not _is_clear_bit(row, bit)]
    texts = [_ask_bits(unclear) if unclear else "", _describe_numbers(row)]
    return f"{row.name!r}, {'; '.join(filter(None, texts))}" if any(texts) else ""


def _is_clear_bit(row: TableRow, bit: TableBit) -> bool:
    """Return whether the meaning of a bit is given, or its whole name and that of its register."""
    if bit.meaning:
        return True
    is_status = is_register(row.name, STATUS_REGISTERS)
    if is_phrase(bit.name, ALARM_PHRASES):
        return is_status or is_register(row.name, ALARM_REGISTERS)
    return is_status and is_phrase(bit.name, STATE_PHRASES)


def _describe_numbers(row: TableRow) -> str:
    """Return the question of numbers that are perhaps none of bits; empty if they are."""
    numbers = ", ".join(map(str, row.bits))
    if row.form == MASKS:
        return ""
    if 0 not in row.bits:
        return (
            f"bits {numbers}: bits count from 0. Are these masks, or do they count from 1? Name "
            f"bit 0 too, such as bit 0=spare ({STATE}), or write masks as 0x01=…"
        )
    if _can_be_masks(row.bits):
        return f"bits {numbers}: are these masks? Write masks as 0x01=…, or name bit 3 too"
    names = row.bits.values()
    meanings = {number: bit_meaning(row, bit) for number, bit in row.bits.items()}
    are_alarms = meanings[0] in (ALARM, ALARM_AT_0) and all(
        meanings[number] in (ALARM, ALARM_AT_0) or is_phrase(bit.name, SPARE_PHRASES)
        for number, bit in row.bits.items()
    )
    are_independent = is_phrase(row.bits[0].name, RUNNING_PHRASES) and any(
        is_phrase(bit.name, REMOTE_PHRASES) for bit in names
    )
    if row.form == BY_BIT or are_alarms or are_independent or ALARM_AT_0 in meanings.values():
        return ""
    return (
        f"{', '.join(bit.name for bit in names)}: are these bits or values? Write bits as "
        f"bit 0={row.bits[0].name}, or values into the column `values`"
    )


def _can_be_masks(bits: dict[int, TableBit]) -> bool:
    """Return whether numbers are 0 and masks, with a gap where a mask has none."""
    are_masks = all(number & (number - 1) == 0 for number in bits if number)
    return are_masks and max(bits) >= _LEAST_MASK and len(bits) > _FEW_MASKS - 1


def value_meaning(value: TableBit) -> str:
    """Return `ALARM` or `STATE` of a named value; empty: it is not understood."""
    if value.meaning in (ALARM, STATE):
        return value.meaning
    if is_phrase(value.name, ALARM_PHRASES):
        return ALARM
    if is_alarm(value.name) and has_alarm_word(value.name):
        return ALARM
    is_good = is_phrase(value.name, STATE_PHRASES) or is_state(value.name)
    return STATE if is_good else ""


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
    unclear = [f"{n} {v.name!r}" for n, v in values.items() if not _is_clear_value(row, v)]
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


def _is_clear_value(row: TableRow, value: TableBit) -> bool:
    """Return whether the meaning of a value is given, or its whole name and that of its register.

    In the register of an interlock, also "off" can be an alarm.
    """
    if value.meaning in (ALARM, STATE):
        return True
    if is_phrase(value.name, ALARM_PHRASES):
        return True
    return is_phrase(value.name, STATE_PHRASES) and is_register(row.name, STATE_REGISTERS)


def other_values(values: dict[int, TableBit]) -> list[int]:
    """Return the bits that are on for no named value: a value with one of them has no name."""
    return [bit for bit in range(16) if not any(value >> bit & 1 for value in values)]


def is_all_alarms(row: TableRow) -> bool:
    """Return whether each bit of a register is an alarm, also one that the table does not name."""
    meanings = {bit_meaning(row, bit) for bit in row.bits.values()}
    return is_alarm_word(row) or meanings == {ALARM}


def _ask_bits(unclear: list[str]) -> str:
    return (
        f"bit {', '.join(unclear)}: is it an alarm? Write ({ALARM}), ({ALARM_AT_0}) "
        f"or ({STATE}) after its name, or give the row the role {MONITOR} if it shows no alarm"
    )


def _is_status(row: TableRow) -> bool:
    return _STATUS in split_words(row.name)


def _is_history(row: TableRow) -> bool:
    """Return whether a register is named as a count of alarms, or as a code of the past."""
    words = split_words(row.name)
    return has_alarm_word(row.name) and any(word in HISTORY_WORDS for word in words)
