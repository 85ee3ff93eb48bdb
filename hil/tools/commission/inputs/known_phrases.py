# SPDX-License-Identifier: Apache-2.0
"""The names of a register table that need no question: a closed list of whole phrases.

Does not decide what a row is; see `hil.tools.commission.inputs.row_states`. A list of words cannot
be closed: each further word or sign can turn a meaning ("flow detected", "leak 0", "alarm word
NC"). So a name is taken without a question only if it is one of these phrases as a whole. Capital
letters, hyphens and underscores do not matter. A number such as the 2 of "pump 2 fault" can be
directly after a thing. Any other text is asked, or has its meaning in brackets.

Sources: tables of vendors of CDUs, pumps and drives; IEC 60447 for the two states of an actuator.
"""

import re

_NUMBERED = (
    *("pump", "fan", "valve", "drive", "inverter", "motor", "compressor", "sensor", "filter"),
    *("cdu", "unit", "system", "controller"),
)
_THINGS = (
    *_NUMBERED,
    *("temperature sensor", "pressure sensor", "flow sensor", "level sensor", "humidity sensor"),
    *("supply temperature sensor", "return temperature sensor", "leak sensor", "flow meter"),
    *("supply sensor", "return sensor", "actuator", "communication", "modbus", "bus", "network"),
    *("power supply", "power", "phase", "hardware", "software", "internal", "external", "common"),
    *("general", "group", "summary", "vfd"),
)
_FAULTS = (*("fault", "failure", "alarm", "trip", "error", "warning"),)
_AFTER_THINGS = (*_FAULTS, "failed", "tripped", "overload")
_MEASURED = (
    *("level", "flow", "pressure", "temperature", "differential pressure", "supply temperature"),
    *("return temperature", "supply pressure", "return pressure", "water level", "coolant level"),
    *("tank level", "reservoir level", "humidity", "conductivity"),
)
_LIMITS = ("low", "high")
_LEAKS = ("leak", "leakage", "water leak", "coolant leak")
_OWN_ALARMS = (
    *("filter dirty", "filter clogged", "filter blocked", "overtemperature", "over temperature"),
    *("overcurrent", "over current", "overpressure", "over pressure", "communication lost"),
    *("communication loss", "leak detection alarm", "leckage", "leck", "st\u00f6rung", "fehler"),
)
ALARM_PHRASES = frozenset(
    [
        *_FAULTS,
        *_OWN_ALARMS,
        *(f"{thing} {end}" for thing in _THINGS for end in _AFTER_THINGS),
        *(f"{leak}{end}" for leak in _LEAKS for end in ("", " detected", " alarm", " warning")),
        *(
            phrase
            for measured in _MEASURED
            for limit in _LIMITS
            for end in ("", " alarm", " warning")
            for phrase in (f"{measured} {limit}{end}", f"{limit} {measured}{end}")
        ),
    ]
)
"""Names of bits and values that are an alarm at 1."""
RUNNING_PHRASES = frozenset(
    ["running", *(f"{thing} running" for thing in ("pump", "fan", "unit", "cdu", "system"))]
)
REMOTE_PHRASES = frozenset(["remote", "remote mode", "remote control"])
"""With one of `RUNNING_PHRASES`: two states that do not exclude each other, so they are bits."""
SPARE_PHRASES = frozenset(["spare", "reserved", "not used", "unused"])
STATE_PHRASES = frozenset(
    [
        *(RUNNING_PHRASES | REMOTE_PHRASES | SPARE_PHRASES),
        *("run", "on", "off", "started", "starting", "stop", "stopped", "stopping", "standby"),
        *("idle", "local", "local mode", "local control", "auto", "automatic", "auto mode"),
        *("manual", "manual mode", "hand", "enabled", "cooling", "heating", "lead", "lag", "duty"),
        *(f"{thing} {end}" for thing in ("pump", "fan", "unit") for end in ("on", "off")),
        *("valve open", "valve opening", "valve closed", "valve closing"),
    ]
)
"""Names of bits of a status register, and of values, that show no alarm."""
_REGISTER_ENDS = ("word", "register", "status", "bits", "flags")
ALARM_REGISTERS = frozenset(
    [
        *("alarms", "faults", "warnings", "active alarms", "active faults", "alarm and fault word"),
        *(f"{fault} {end}" for fault in _FAULTS for end in _REGISTER_ENDS),
        *(f"active {fault} word" for fault in _FAULTS),
    ]
)
"""Names of registers in which each bit is an alarm at 1."""
STATUS_REGISTERS = frozenset(
    [
        *("status", "status word", "status register", "status bits", "status flags", "state word"),
        *(f"{thing} status" for thing in _NUMBERED),
        *(f"{thing} status word" for thing in _NUMBERED),
        *("operating status", "operation status"),
    ]
)
STATE_REGISTERS = frozenset(
    [
        *(STATUS_REGISTERS | {"state", "mode", "control mode"}),
        *(f"{thing} {end}" for thing in (*_NUMBERED, "operating", "operation") for end in ("state",
          "mode")),
    ]
)  # fmt: skip
"""Names of registers whose values are states."""
_PLAIN = (
    *("serial number", "firmware version", "software version", "hardware version", "version"),
    *("model", "model number", "device type", "device id", "product id", "vendor id"),
    *("device address", "modbus address", "slave address", "build number", "heartbeat"),
    *("heartbeat counter", "year", "month", "day", "hour", "minute", "second", "date", "time"),
    *("timestamp", "real time clock", "system time", "utc time", "ph", "ph value", "water ph"),
    *("water quality ph", "power factor", "spare", "reserved", "uptime"),
)
_COUNTED = (
    *("operating hours", "running hours", "run hours", "working hours", "service hours"),
    *("total operating hours", "total running hours", "runtime", "run time", "operating time"),
    *("start counter", "start count", "number of starts", "energy", "total energy"),
)
NUMBER_PHRASES = frozenset(
    [*_PLAIN, *_COUNTED, *(f"{thing} {count}" for thing in _NUMBERED for count in _COUNTED)]
)
"""Names of registers without a unit that are numbers, and show no alarm."""
_SWITCHED = ("pump", "fan", "valve", "unit", "cdu", "system")
COMMAND_PHRASES = frozenset(
    [
        *("start command", "stop command", "start/stop command", "run command", "on/off command"),
        *("control mode", "operating mode", "operation mode", "mode selection", "mode command"),
        *("enable", "enable command", "remote enable", "alarm reset", "fault reset", "reset"),
        *("reset command", "alarm acknowledge", "fault acknowledge", "acknowledge"),
        *("alarm silence", "buzzer silence", "baud rate", "baudrate", "parity", "modbus address"),
        *("slave address", "language", "pump selection", "lead pump selection"),
        *("control source", "set point source", "setpoint source", "speed source"),
        *(f"{thing} {end}" for thing in _SWITCHED for end in ("enable", "start command")),
        *(f"{thing} {end}" for thing in _SWITCHED for end in ("stop command", "mode command")),
    ]
)
"""Names of registers with access RW that are commands, and show no alarm."""
_QUANTITIES = {
    ("temperature", "temp", "dewpoint", "dew"): ("\u00b0c", "c", "degc", "k", "\u00b0f", "degf"),
    ("pressure", "dp"): ("kpa", "pa", "hpa", "mpa", "bar", "mbar", "psi", "barg", "bara", "psig",
                         "kpag", "kpaa", "psia"),
    ("flow",): ("l/min", "lpm", "l/s", "l/h", "m3/h", "m\u00b3/h", "gpm", "kg/h", "kg/s", "m/s"),
    ("speed", "position", "opening", "level", "humidity", "load", "output", "power", "capacity",
     "frequency", "concentration", "fill"): ("%", "%rh"),
    ("speed",): ("rpm", "1/min"),
    ("frequency",): ("hz",),
    ("power", "load", "capacity"): ("kw", "w", "mw", "va", "kva", "var", "kvar"),
    ("voltage",): ("v", "mv", "kv"),
    ("current",): ("a", "ma"),
    ("energy",): ("wh", "kwh", "mwh", "gj"),
    ("hours", "runtime", "uptime", "time"): ("h", "hr", "hrs", "hours", "min", "s", "sec", "ms",
                                             "days"),
    ("level", "height"): ("mm", "cm", "m"),
    ("volume",): ("l", "m3", "m\u00b3"),
    ("humidity",): ("g/m3", "g/kg"),
    ("conductivity",): ("us/cm", "\u00b5s/cm", "\u03bcs/cm", "ms/cm"),
    ("turbidity",): ("ntu",),
}  # fmt: skip
"""The words of a quantity, and the units that it can have, in small letters."""
_PLACES = (
    *("pump", "fan", "motor", "valve", "drive", "inverter", "compressor", "filter", "tank", "rack"),
    *("reservoir", "supply", "return", "inlet", "outlet", "primary", "secondary", "facility"),
    *("water", "coolant", "fluid", "liquid", "loop", "side", "room", "ambient", "air", "cabinet"),
    *("phase", "total", "average", "mean", "actual", "measured", "value", "point", "cdu", "unit"),
    *("differential", "diff", "delta", "static", "volume", "rate", "relative", "output", "input"),
    *("operating", "running", "run", "working", "service", "cooling", "heat", "exchanger", "of"),
    *("the", "in", "out", "at", "tcs", "fws", "l", "t", "p", "mass", "dc", "ac", "line", "bus"),
)
"""Words beside that of a quantity: they do not turn a number into a state."""
_NUMBER_AFTER = re.compile(rf"\b({'|'.join(_NUMBERED)}) ?#?[1-9][0-9]?\b")
_LAST_NUMBER = re.compile(r" #?[1-9][0-9]?$")


def plain_form(name: str) -> str:
    """Return a name in small letters, with one blank for blanks, hyphens and underscores."""
    text = re.sub("(?<=[a-z])(?=[A-Z])", " ", re.sub(r"\bpH\b", "ph", name))
    return re.sub(r"[\s_-]+", " ", text.casefold()) if text.strip() == text else ""


def is_phrase(name: str, phrases: frozenset[str]) -> bool:
    """Return whether a name is one of the phrases, also with a number after its thing."""
    plain = plain_form(name)
    return plain in phrases or _NUMBER_AFTER.sub(r"\1", plain, count=1) in phrases


def is_register(name: str, phrases: frozenset[str]) -> bool:
    """Return whether the name of a register is one of the phrases, also with a number at its end.

    A number at the end counts registers, such as "alarm word 2".
    """
    return is_phrase(name, phrases) or is_phrase(_LAST_NUMBER.sub("", plain_form(name)), phrases)


def is_quantity(name: str, unit: str) -> bool:
    """Return whether a name is that of a measured value with this unit.

    One word is that of a quantity of the unit, and each other word that of a place. A unit alone
    says nothing: "interlock" in V can be a state.
    """
    plain = re.sub(r"\((g|a|abs|rel)\)$", "", unit.casefold().replace(" ", ""))
    quantities = [word for words, units in _QUANTITIES.items() if plain in units for word in words]
    words = re.findall(r"[^\W\d_]+", plain_form(name))
    known = (*quantities, *_PLACES)
    return any(word in quantities for word in words) and all(word in known for word in words)
