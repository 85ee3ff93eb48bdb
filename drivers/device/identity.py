"""Is the device at this address the model that its profile describes?

Not a search for models (that is a tool's): here are a profile's own probes, as requests, and the
verdict on their answers. A probe reads registers that must hold certain words, a text, or a number
between two; or an object of "read device identification" (function 43/14), each by itself (code 4):
some makers number the codes of the streams from 0. A device that answers something else, or says
that it has no such registers, is another model: nothing is written to it. No answer, or "busy",
says nothing.
"""

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

_ABSENT_CODES = (1, 2, 3)  # exceptions that mean: I have no such thing
_ONE_OBJECT = 4


def _all_probes(profile: "DeviceProfile") -> "list[Raw]":
    """The profile's probes; a scanned model proves itself by its number at its base."""
    if not profile.scan:
        return profile.identity
    number = {"address": profile.base, "words": [profile.scan["model"]]}
    number["function"] = profile.scan.get("function", 3)
    return [number] + profile.identity


def _text_prefixes(probe: "Raw") -> "list[str]":
    """What a text may begin with; empty when it is no text that is probed."""
    return list(probe.get("any", [probe["text"]] if "text" in probe else []))


def _register_count(probe: "Raw") -> int:
    texts = _text_prefixes(probe)
    if texts and "count" not in probe:
        return (max([len(text) for text in texts]) + 1) // 2
    return int(probe.get("count", len(probe.get("words", [0]))))


def probe_requests(profile: "DeviceProfile") -> "list[tuple[bytes, int]]":
    """Every probe as (PDU, tag)."""
    found = []
    for tag, probe in enumerate(_all_probes(profile)):
        if "object" in probe:
            found.append((read_device_id(_ONE_OBJECT, probe["object"]), tag))
        else:
            found.append(
                (read(probe.get("function", 3), probe["address"], _register_count(probe)), tag)
            )
    return found


def evaluate_probe(
    profile: "DeviceProfile", tag: int, status: str, code: int, values: "tuple[int, ...]"
) -> "tuple[str, str]":
    """("unknown", "match" or "mismatch", why) after the answer to probe `tag`."""
    probe = _all_probes(profile)[tag]
    if status == EXCEPTION and code in _ABSENT_CODES:
        return MISMATCH, "exception %d where %s answers" % (code, profile.model)
    if status != GOOD:
        return UNKNOWN, ""
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
    return MATCH, ""


def _has_prefix(actual: str, texts: "list[str]") -> bool:
    return True in [actual.startswith(text) for text in texts]


def _compare(is_match: bool, actual: str, probe: "Raw") -> "tuple[str, str]":
    if is_match:
        return MATCH, ""
    location = (
        "object %d" % probe["object"] if "object" in probe else "address %d" % probe["address"]
    )
    expected = probe.get("words") or probe.get("between") or " or ".join(_text_prefixes(probe))
    return MISMATCH, "%s holds %s, not %r" % (location, actual, expected)
