# SPDX-License-Identifier: Apache-2.0
"""The words of register tables that the command knows: of states, of alarms, and of plain numbers.

Does not decide what a row is; see `hil.tools.commission.inputs.row_states`. A name is clear only if
each of its words is in one of these lists. A word that can turn the meaning (no, ok, open, closed,
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
_NUMBERS = (
    *("hours", "hour", "runtime", "uptime", "counter", "count", "serial", "version", "firmware"),
    *("software", "hardware", "model", "type", "id", "address", "number", "year", "month", "day"),
    *("minute", "date", "time", "timestamp", "clock", "heartbeat", "heartbeats", "spare"),
    *("reserved", "factor", "ratio", "energy", "ph"),
)
_BESIDE_NUMBERS = (
    *("operating", "operation", "running", "run", "working", "service", "total", "pump", "pumps"),
    *("fan", "fans", "valve", "unit", "device", "cdu", "controller", "system", "product", "build"),
    *(
        "major",
        "minor",
        "power",
        "start",
        "starts",
        "cycle",
        "cycles",
        "revision",
        "slave",
        "water",
    ),
    *("quality", "coolant", "local", "real", "rtc", "of", "the", "in", "since"),
)
_CLOCK = ("second", "time", "clock", "real", "rtc", "system", "date", "local", "utc")
PERMISSIVES = ("interlock", "interlocks", "chain", "safety", "permissive", "permissives", "release")
"""In a register with one of these, also a plain state such as "door closed" is the good one."""
_OFF = ("off", "stop", "stopped", "idle", "standby", "aus")
_ON = ("on", "run", "running", "started", "starting", "ein")
HISTORY_WORDS = (
    *("last", "previous", "history", "total", "count", "counter", "number", "sum", "log", "latest"),
)
"""With one of these, a register named as an alarm is a count or a code of the past, or of now."""


_COMMANDS = (
    *("command", "commands", "cmd", "set", "setpoint", "enable", "disable", "reset", "acknowledge"),
    *("ack", "start", "stop", "mode", "select", "selection", "source", "clear", "silence", "delay"),
    *("baud", "baudrate", "parity", "language", "request", "switch", "changeover", "ramp"),
)
_BESIDE_COMMANDS = (*("point", "rate", "speed", "buzzer", "operating", "position"), *STATE_WORDS)
_TURNING = re.compile(
    r"[!~^*'\"()\[\]{}=<>\\|;?\u00ac]|#(?!\d)|(?<!\w)/|/(?!\w)|(?<!\w)-(?=\w)|-\s*$|\b(0v?|n)\b",
    re.IGNORECASE,
)
"""Signs that can turn the meaning of a name: `!leak`, `leak (0)`, `leak#`, `/leak`, `leak_n`."""
_UNITS = (
    *("\u00b0c", "c", "degc", "\u2103", "k", "\u00b0f", "degf", "kpa", "pa", "hpa", "mpa", "bar"),
    *("mbar", "psi", "l/min", "lpm", "l/s", "l/h", "m3/h", "m\u00b3/h", "gpm", "kg/h", "kg/s", "%"),
    *("%rh", "rpm", "1/min", "kw", "w", "mw", "hz", "v", "mv", "kv", "a", "ma", "va", "kva", "var"),
    *("kvar", "wh", "kwh", "mwh", "gj", "h", "hr", "hrs", "hours", "min", "s", "sec", "ms", "days"),
    *("mm", "cm", "m", "l", "m3", "m\u00b3", "kg", "g/m3", "m/s", "ppm", "ntu", "ohm", "db"),
    *("us/cm", "\u00b5s/cm", "\u03bcs/cm", "ms/cm"),
)
"""Units of a measured value, in small letters, without a reference such as (g)."""


def is_unit(text: str) -> bool:
    """Return whether a text is the unit of a measured value; "code" and "enum" are none."""
    plain = re.sub(r"\((g|a|abs|rel)\)$", "", text.casefold().replace(" ", ""))
    return plain in _UNITS or plain in ("barg", "bara", "kpag", "kpaa", "psig", "psia")


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


def is_number(name: str) -> bool:
    """Return whether each word is that of a number that can show no alarm."""
    words = split_words(name)
    if words and all(word in _CLOCK for word in words):
        return True
    is_known = _is_known(name, (*_NUMBERS, *_BESIDE_NUMBERS))
    return is_known and any(word in _NUMBERS for word in words)


def is_command(name: str) -> bool:
    """Return whether each word is that of a command, or of its subject: it shows no alarm."""
    is_known = _is_known(name, (*_COMMANDS, *_BESIDE_COMMANDS, *_NUMBERS))
    return is_known and any(word in _COMMANDS for word in split_words(name))


def are_exclusive(names: list[str]) -> bool:
    """Return whether names are states of one thing that exclude each other, such as off and run."""
    words = [split_words(name) for name in names]
    subjects = [
        {tuple(w for w in name if w not in group) for name in words if set(name) & set(group)}
        for group in (_OFF, _ON)
    ]
    return bool(subjects[0] & subjects[1])


def _is_known(name: str, known: tuple[str, ...]) -> bool:
    """Return whether each word is known; single letters only beside such a word."""
    long = [word for word in split_words(name) if len(word) > 1]
    return bool(long) and all(word in known for word in long)
