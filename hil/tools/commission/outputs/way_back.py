# SPDX-License-Identifier: Apache-2.0
"""Gives one output the words that it had before, but never over the value of another master.

Does not keep the words; see `hil.tools.commission.outputs.pending`. The words are raw: an error in
the type or the word order of a table cannot change the value that the device gets back. The output
is read first. A count outside of what this program or its agent can have written stays.

The profile can have changed since the words were kept: a technician has corrected it. Then the old
registers count, as the journal names them, and not those of the profile.
"""

import time

from drivers.device.device import GOOD as GOOD_VALUE
from drivers.device.identity import MISMATCH
from drivers.device.profile import Point
from drivers.errors import PortError
from drivers.tools.lib.arguments import describe_result
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.outputs.pending import (
    FOREIGN,
    INTENDED,
    NOT_RETURNED,
    RESTORED,
    OldWords,
    form_of,
)
from protocols.errors import EncodeError
from protocols.modbus import pdu

READBACKS, PAUSE_S = 10, 0.2
_ANOTHER_MASTER = "another master has changed the output: it holds"
_PLAIN = tuple(
    form_of(Point({"name": "", "kind": kind, "function": 3, "address": 0, "low": 0, "high": 0}))
    for kind in ("u16", "i16")
)
"""Forms of one register that is its own count."""


def return_output(access: DeviceAccess, old: OldWords) -> tuple[str, str]:
    """Return the output to its old words: (state, problem). State `NOT_RETURNED`: it is not there.

    A device can show a written value late. So the old words are written also if it shows them now.
    """
    if access.device.identity == MISMATCH:
        return NOT_RETURNED, access.identity
    foreign, unknown = _find_foreign(access, old)
    if unknown:
        return NOT_RETURNED, unknown
    problem = "" if foreign else restore(access, old)
    if problem:
        foreign, _ = _find_foreign(access, old)
    if foreign:
        return FOREIGN, f"{foreign}; the old words {old.words} were not written over it"
    return (NOT_RETURNED, problem) if problem else (RESTORED, "")


def compare_output(access: DeviceAccess, old: OldWords) -> tuple[str, str]:
    """Compare an output that was not tested with its words of before: (state, problem).

    State `INTENDED`: it has them. `FOREIGN`: it has others, which stay.
    """
    words, error = access.read_words(old.function, old.address, len(old.words))
    if error:
        return NOT_RETURNED, error
    if words == old.words:
        return INTENDED, ""
    return FOREIGN, (
        f"it holds {words}, and had {old.words} before the test of another output; it was not "
        "written: check it"
    )


def compare_beside(access: DeviceAccess, old: OldWords) -> tuple[str, str]:
    """Compare a register in which a write has landed: (state, problem).

    It is not written: the next write could land in another register, too.
    """
    words, error = access.read_words(old.function, old.address, len(old.words))
    if words == old.words:
        return RESTORED, ""
    return NOT_RETURNED, error or (
        f"it holds {words}, a write of a test has landed there; this command does not write it"
    )


def is_foreign(access: DeviceAccess, old: OldWords) -> bool:
    """Return whether the last poll shows a value that is neither the old one nor ours."""
    index = access.device.point_index(old.point)
    reading = access.device.readings[index]
    words = access.polled_words(access.profile.points[index])
    if old.ours is None or not words or words == old.words or is_written(words, old):
        return False
    is_ours = any(low <= reading.raw <= high for low, high in old.ours)
    return not (is_ours and reading.quality == GOOD_VALUE)


def is_written(words: list[int], old: OldWords) -> bool:
    """Return whether a trace shows that the agent has written these words.

    A device can round a value of one register by one count.
    """
    return any(
        words == own or (len(own) == len(words) == 1 and abs(words[0] - own[0]) <= 1)
        for own in old.written or ()
    )


def _find_foreign(access: DeviceAccess, old: OldWords) -> tuple[str, str]:
    """Return the text for the value of another master, and the reason if it is not known."""
    try:
        if not _is_as_in_profile(access, old):
            return _find_foreign_words(access, old)
        index = access.device.point_index(old.point)
        error = access.poll_point(index)
    except PortError as failure:
        return "", str(failure)
    if error or not is_foreign(access, old):
        return "", error
    words = access.polled_words(access.profile.points[index])
    return f"{_ANOTHER_MASTER} {words}", ""


def _is_as_in_profile(access: DeviceAccess, old: OldWords) -> bool:
    """Return whether the profile still reads these registers, in the same form."""
    if not access.profile.has_point(old.point):
        return False
    point = access.profile.points[access.device.point_index(old.point)]
    where = (point.function, point.address, point.registers)
    is_there = where == (old.function, old.address, len(old.words))
    return is_there and old.form in ("", form_of(point))


def _find_foreign_words(access: DeviceAccess, old: OldWords) -> tuple[str, str]:
    """Judge the old registers without the profile. One word is its own count, with or without sign.

    The words of a larger value cannot be judged; then the output is not written.
    """
    words, error = access.read_words(old.function, old.address, len(old.words))
    if error or old.ours is None or words == old.words or is_written(words, old):
        return "", error
    if old.written is not None:
        return f"{_ANOTHER_MASTER} {words}", ""
    if len(words) > 1 or not _is_plain(old):
        return "", f"the profile has changed since, and the registers hold {words}"
    counts = (words[0], words[0] - 0x10000)
    if any(low <= count <= high for low, high in old.ours for count in counts):
        return "", ""
    return f"{_ANOTHER_MASTER} {words}", ""


def _is_plain(old: OldWords) -> bool:
    return old.form in ("", *_PLAIN)


def restore(access: DeviceAccess, old: OldWords) -> str:
    """Write the old words and compare them; return the problem, or an empty text."""
    words: list[int] = []
    error = ""
    try:
        result = access.request(_raw_write(access.profile.write_with, old))
        if result.status not in (pdu.GOOD, pdu.EXCEPTION):
            result = access.request(_raw_write(access.profile.write_with, old))
        problem = "" if result.status == pdu.GOOD else describe_result(result)
        for _ in range(READBACKS):
            words, error = access.read_words(old.function, old.address, len(old.words))
            if words == old.words:
                return ""
            if not words:
                break
            time.sleep(PAUSE_S)
    except (EncodeError, PortError) as failure:
        return str(failure)
    return problem or error or f"the registers hold {words}, not {old.words}"


def _raw_write(write_function: int, old: OldWords) -> bytes:
    """Return the request that writes the words; the function codes are those of a normal write."""
    if old.function == pdu.READ_COILS:
        return pdu.write_coil(old.address, old.words[0])
    if write_function == pdu.READ_WRITE:
        return pdu.read_write(old.address, len(old.words), old.address, old.words)
    if len(old.words) == 1 and write_function != pdu.WRITE_MULTIPLE:
        return pdu.write_single(old.address, old.words[0])
    return pdu.write_multiple(old.address, old.words)
