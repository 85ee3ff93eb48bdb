# SPDX-License-Identifier: Apache-2.0
"""Identity of a device: whether it is the model that its profile describes.

Does not search for models; see `drivers.tools.lib.identify`. Contains the probes of a profile as
requests, and the verdict on the replies. A probe reads registers that must hold given words, a
text, or a number in a range. It can also read one object of "read device identification" (function
43/14, code 4). Code 4 reads a single object: some makers number the objects of the streams from 0.

If the device replies with other contents, or with an exception for missing registers, it is another
model. The agent does not write to it. No reply, or "busy", leaves the identity unknown.
"""

from collections import namedtuple

from drivers.device.number_format import decode_text
from protocols.modbus.pdu import EXCEPTION, GOOD, parse_objects, read, read_device_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import DeviceProfile

    Raw = dict[str, Any]

UNKNOWN = "unknown"
MATCH = "match"
MISMATCH = "mismatch"

TaggedRequest = namedtuple("TaggedRequest", ("pdu", "tag"))
"""A request PDU and the number of its block or probe."""

ProbeVerdict = namedtuple("ProbeVerdict", ("identity", "reason"))
"""UNKNOWN, MATCH or MISMATCH after one probe; the reason of a mismatch, else empty."""

_ABSENT_CODES = (1, 2, 3)  # exceptions of a device that lacks the probed registers or object
_ONE_OBJECT = 4


def _all_probes(profile: "DeviceProfile") -> "list[Raw]":
    """Return the probes of the profile, first the model number at the base of a SunSpec model."""
    if not profile.scan:
        return profile.identity
    number = {"address": profile.base_address, "words": [profile.scan["model"]]}
    number["function"] = profile.scan.get("function", 3)
    return [number] + profile.identity


def _text_prefixes(probe: "Raw") -> "list[str]":
    """Return the texts with which the reply can begin; empty if the probe is not for a text."""
    return list(probe.get("any", [probe["text"]] if "text" in probe else []))


def _register_count(probe: "Raw") -> int:
    texts = _text_prefixes(probe)
    if texts and "count" not in probe:
        return (max([len(text) for text in texts]) + 1) // 2
    return int(probe.get("count", len(probe.get("words", [0]))))


def probe_requests(profile: "DeviceProfile") -> "list[TaggedRequest]":
    """Return the requests of all probes."""
    found = []
    for tag, probe in enumerate(_all_probes(profile)):
        if "object" in probe:
            pdu = read_device_id(_ONE_OBJECT, probe["object"])
        else:
            pdu = read(probe.get("function", 3), probe["address"], _register_count(probe))
        found.append(TaggedRequest(pdu, tag))
    return found


def evaluate_probe(
    profile: "DeviceProfile", tag: int, status: str, code: int, values: "tuple[int, ...]"
) -> "ProbeVerdict":
    """Return the verdict on the reply to probe `tag`."""
    probe = _all_probes(profile)[tag]
    if status == EXCEPTION and code in _ABSENT_CODES:
        return ProbeVerdict(MISMATCH, "exception %d where %s answers" % (code, profile.model))
    if status != GOOD:
        return ProbeVerdict(UNKNOWN, "")
    if "object" in probe:
        found = [
            content for number, content in parse_objects(values)[0] if number == probe["object"]
        ]
        actual = "".join([chr(byte) for byte in found[0]]) if found else ""
        is_match = bool(found) and _has_prefix(actual, _text_prefixes(probe) or [""])
        return _compare(is_match, repr(actual), probe)
    if _text_prefixes(probe):
        actual = decode_text(values)
        return _compare(_has_prefix(actual, _text_prefixes(probe)), repr(actual), probe)
    if "between" in probe:
        low, high = probe["between"]
        return _compare(low <= values[0] <= high, str(values[0]), probe)
    if "words" in probe:
        return _compare(list(values) == probe["words"], str(list(values)), probe)
    return ProbeVerdict(MATCH, "")


def _has_prefix(actual: str, texts: "list[str]") -> bool:
    return True in [actual.startswith(text) for text in texts]


def _compare(is_match: bool, actual: str, probe: "Raw") -> "ProbeVerdict":
    if is_match:
        return ProbeVerdict(MATCH, "")
    location = (
        "object %d" % probe["object"] if "object" in probe else "address %d" % probe["address"]
    )
    expected = probe.get("words") or probe.get("between") or " or ".join(_text_prefixes(probe))
    return ProbeVerdict(MISMATCH, "%s holds %s, not %r" % (location, actual, expected))
