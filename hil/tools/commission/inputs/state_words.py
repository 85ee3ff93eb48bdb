# SPDX-License-Identifier: Apache-2.0
"""The words of register tables that mean an alarm or a state, if a row is asked.

Does not decide which row is asked: that is a closed list of phrases
(`hil.tools.commission.inputs.known_phrases`). These words say which alarms the profile of a row
gets that was asked. A word that can turn the meaning (no, ok, open, closed,
present, sufficient, released, interlock, chain) is in no list of alarms, and a sign can turn it too
(`!leak`, `leak_n`, `leak (0)`). Source: tables of vendors
of CDUs, pumps and drives, and IEC 60447 for the two states of an actuator.
"""

import re

ALARM_WORDS = (
    *("alarm", "alarms", "alarmed", "alm", "alms", "fault", "faults", "faulty", "faulted", "flt"),
    *("fail", "fails", "failed", "failure", "failures", "warning", "warnings", "warn", "err"),
    *("error", "errors", "trip", "trips", "tripped", "leak", "leaks", "leakage", "leaking"),
    *("emergency", "estop", "critical", "danger", "fehler", "st\u00f6rung", "st\u00f6rungen"),
    *("leck", "leckage"),
)
"""A name with one of these is that of an alarm, if its other words are known too."""
_CONDITIONS = (
    *("high", "low", "hi", "lo", "hh", "ll", "over", "under", "exceeded", "lost", "loss"),
    *("missing", "overload", "overheat", "overtemperature", "overtemp", "overcurrent"),
    *("overvoltage", "undervoltage", "overpressure", "underpressure", "blocked", "broken"),
    *("defective", "stuck", "jammed", "dirty", "clogged", "empty", "detected", "imbalance"),
    *("timeout", "stop"),
)
_SUBJECTS = (
    *("pump", "pumps", "pumpe", "pumpen", "fan", "fans", "valve", "valves", "filter", "level"),
    *("pressure", "press", "temperature", "temp", "flow", "speed", "drive", "inverter", "vfd"),
    *("motor", "sensor", "sensors", "probe", "supply", "return", "inlet", "outlet", "primary"),
    *("secondary", "coolant", "water", "fluid", "liquid", "tank", "reservoir", "diff", "delta"),
    *("differential", "dp", "communication", "communications", "comm", "comms", "modbus", "bus"),
    *("network", "phase", "voltage", "current", "frequency", "actuator", "humidity", "dew"),
    *("point", "ambient", "room", "air", "rack", "cdu", "unit", "device", "system", "controller"),
    *("plc", "board", "memory", "battery", "psu", "fuse", "breaker", "door", "cabinet", "tcs"),
    *("fws", "facility", "loop", "side", "general", "common", "group", "summary", "hardware"),
    *("software", "firmware", "internal", "external", "quality", "conductivity", "main", "any"),
    *("of", "in", "the", "at", "and", "or"),
)
_REGISTERS = (
    *("word", "words", "status", "state", "code", "codes", "register", "flags", "bits", "bit"),
    *("active", "present", "bitmap", "byte", "list", "info"),
)
"""Words of the name of a whole register of alarms."""
STATE_WORDS = (
    *("running", "run", "on", "off", "started", "starting", "stopped", "stopping", "standby"),
    *("idle", "ready", "remote", "local", "auto", "automatic", "manual", "hand", "mode", "enabled"),
    *("enable", "active", "open", "opened", "opening", "closed", "closing", "lead", "lag", "duty"),
    *("master", "primary", "secondary", "pump", "pumps", "fan", "fans", "valve", "unit", "cdu"),
    *("cooling", "heating", "power", "powered", "control", "controlled", "is", "the"),
)
PERMISSIVES = ("interlock", "interlocks", "chain", "safety", "permissive", "permissives", "release")
"""In a register with one of these, also a plain state such as "door closed" is the good one."""
HISTORY_WORDS = (
    *("last", "previous", "history", "total", "count", "counter", "number", "sum", "log", "latest"),
)
"""With one of these, a register named as an alarm is a count or a code of the past, or of now."""


_TURNING = re.compile(
    r"[!~^*'\"()\[\]{}=<>\\|;?\u00ac]|#(?!\d)|(?<!\w)/|/(?!\w)|(?<!\w)-(?=\w)|-\s*$|\b(0v?|n)\b",
    re.IGNORECASE,
)
"""Signs that can turn the meaning of a name: `!leak`, `leak (0)`, `leak#`, `/leak`, `leak_n`."""


def split_words(name: str) -> list[str]:
    """Return the words of a name in small letters, also those of "PumpFault"; pH is one word."""
    text = re.sub("(?<=[a-z])(?=[A-Z])", " ", re.sub(r"\bpH\b", "ph", name))
    return re.findall(r"[^\W\d_]+", text.casefold())


def has_alarm_word(name: str) -> bool:
    """Return whether a name has a word of an alarm."""
    return any(word in ALARM_WORDS for word in split_words(name))


def is_alarm(name: str, *, is_register: bool = False) -> bool:
    """Return whether each word is that of an alarm or of its subject. `is_register`: of a word.

    No sign of the name can turn its meaning.
    """
    if _TURNING.search(name.replace("_", " ")):
        return False
    beside = (*_CONDITIONS, *_SUBJECTS, *(_REGISTERS if is_register else ()))
    return _is_known(name, (*ALARM_WORDS, *beside))


def is_state(name: str) -> bool:
    """Return whether each word is that of a state."""
    return _is_known(name, STATE_WORDS)


def _is_known(name: str, known: tuple[str, ...]) -> bool:
    """Return whether each word is known; single letters only beside such a word."""
    long = [word for word in split_words(name) if len(word) > 1]
    return bool(long) and all(word in known for word in long)
