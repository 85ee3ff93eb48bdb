# SPDX-License-Identifier: Apache-2.0
"""A strict parser of NMEA 0183, like small C libraries (minmea's formats), for the emulated
receivers.

It follows NMEA 0183 and minmea's format strings and shares no code with the agent. A line is `$`,
printable ASCII, a correct checksum of two upper-case digits, CR and LF, 82 characters at most.
Every field of a known sentence must have its format. Unlike minmea it accepts the hexadecimal
signal id.
"""

import re
from functools import reduce
from operator import xor

_FORMS = {
    "T": r"(?:[0-2]\d[0-5]\d(?:[0-5]\d|60)(?:\.\d{1,3})?)?",
    "D": r"(?:[0-3]\d[01]\d\d\d)?",
    "f": r"(?:[+-]?\d+(?:\.\d+)?)?",
    "p": r"(?:\d{4,5}\.\d+)?",
    "d": r"[NSEW]?",
    "c": r"[A-Z]?",
    "i": r"(?:\d+)?",
    "h": r"[0-9A-F]?",
    "m": r"[ADEFMNPRS]*",
}
_KINDS = {
    "RMC": r"TcpdpdffDfd(?:,c(?:,c)?)?",
    "GGA": r"Tpdpdiiffcfcfi",
    "GLL": r"pdpdTc(?:,c)?",
    "GNS": r"Tpdpdmifffff(?:,c)?",
    "GSA": r"ciiiiiiiiiiiiifff(?:,h)?",
    "VTG": r"fcfcfcfc(?:,c)?",
    "ZDA": r"Tiiiii",
    "GST": r"Tfffffff",
    "GBS": r"Tfffifff(?:,h,h)?",
}
_GSV = re.compile(r"\d,\d,\d\d(?:,\d{2,3},(?:\d\d)?,(?:\d{3})?,(?:\d\d)?){0,4}(?:,[0-9A-F]){0,2}")


def _form(letters: str) -> "re.Pattern[str]":
    head, _, tail = letters.partition("(")
    text = ",".join(_FORMS[letter] for letter in head)
    if tail:
        text += re.sub(r"(?<![\w\\?])([ch])", lambda m: _FORMS[m.group(1)], "(" + tail)
    return re.compile(text)


_CHECKS = {kind: _form(letters) for kind, letters in _KINDS.items()} | {"GSV": _GSV}


def find_fault(line: bytes) -> "str | None":
    """Return what is wrong with a line (with its line end), or None."""
    if not line.endswith(b"\r\n"):
        return "no CR LF"
    if len(line) > 82:
        return f"{len(line)} characters"
    body = line[1:-5]
    if line[:1] != b"$" or line[-5:-4] != b"*" or not all(32 <= c < 127 for c in body):
        return "not framed"
    if b"%02X" % reduce(xor, body) != line[-4:-2]:
        return "checksum"
    tag, _, rest = body.decode().partition(",")
    if not re.fullmatch(r"[A-Z]{2}[A-Z]{3}|P[A-Z0-9]{3,}|command", tag):
        return f"tag {tag}"
    check = _CHECKS.get(tag[2:]) if len(tag) == 5 else None
    return None if check is None or check.fullmatch(rest) else f"form of {tag}"
