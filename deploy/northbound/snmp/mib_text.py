# SPDX-License-Identifier: Apache-2.0
"""Text of COLDLOOP-MIB (SMIv2, RFC 2578 to 2580), from points/snmp.toml and the tables here.

Does not read values; `tree` has the same numbers. A test compares the file COLDLOOP-MIB with this
text and checks it with smilint.

    python -m deploy.northbound.snmp.mib_text > deploy/northbound/snmp/COLDLOOP-MIB
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import wrap

from deploy.northbound.snmp.tree import (
    ALARM_STATES,
    ENTERPRISES,
    PLAYGROUND,
    QUALITIES,
    ROOT,
    STATES,
    TABLE_NUMBERS,
    Oid,
    SnmpPoint,
    snmp_points,
)

_UPDATED = "202611280000Z"
_TEXT, _UNSIGNED, _TIME = "SnmpAdminString", "Unsigned32", "DateAndTime"


def _enum(words: tuple[str, ...]) -> str:
    return "INTEGER { " + ", ".join(f"{word}({n})" for n, word in enumerate(words, 1)) + " }"


@dataclass(frozen=True, slots=True)
class MibObject:
    """A scalar or a column. `access`: MAX-ACCESS."""

    name: str
    number: int
    syntax: str
    description: str
    units: str = ""
    access: str = "read-only"


UNIT = tuple(
    MibObject(f"coldloop{name}", number, syntax, description, units)
    for number, (name, syntax, description, units) in enumerate(
        (
            ("UnitName", _TEXT, "Site and name of the unit: SITE/UNIT.", ""),
            ("Manufacturer", _TEXT, "Manufacturer of the unit.", ""),
            ("Model", _TEXT, "Model of the unit.", ""),
            ("SerialNumber", _TEXT, "Serial number of the unit.", ""),
            ("Software", _TEXT, "Name and version of the software.", ""),
            ("RecordNumber", _UNSIGNED, "Number of the record of values.", ""),
            ("RecordAge", _UNSIGNED, "Age of the record.", "milliseconds"),
            ("Time", _TIME, "Time of the record, UTC. No instance: not known.", ""),
            ("TimeBound", _UNSIGNED, "Error bound of the time.", "microseconds"),
            ("RecordIsCurrent", "TruthValue", "false(2): no value is known.", ""),
        ),
        1,
    )
)  # fmt: skip
_POINT = (
    MibObject("coldloopPointIndex", 1, "Unsigned32 (1..65535)", "Number of the point.",
              access="not-accessible"),
    MibObject("coldloopPointTitle", 2, _TEXT, "Title of the point."),
    MibObject("coldloopPointValue", 3, _TEXT, "Value as a decimal number. No instance: not known."),
    MibObject("coldloopPointUnits", 4, _TEXT, "Unit of the value."),
    MibObject("coldloopPointQuality", 5, _enum(QUALITIES),
              "Quality. bad and absent: the value is not known."),
    MibObject("coldloopPointAge", 6, _UNSIGNED, "Time since the reading.", "milliseconds"),
    MibObject("coldloopPointKey", 7, _TEXT, "Key of the point, the same in all protocols."),
)  # fmt: skip
_ALARM = (
    MibObject("coldloopAlarmNumber", 1, "Unsigned32 (0..65535)",
              "Number of the alarm in the alarm catalogue.", access="not-accessible"),
    MibObject("coldloopAlarmInstance", 2, "Unsigned32 (1..65535)",
              "Counts the alarms of one number.", access="not-accessible"),
    MibObject("coldloopAlarmCode", 3, _TEXT, "Code of the alarm."),
    MibObject("coldloopAlarmSource", 4, _TEXT, "Device or input of the alarm, or empty."),
    MibObject("coldloopAlarmPriority", 5, "Integer32 (1..4)",
              "1 act now, 2 act within 30 min, 3 act today, 4 note for the weekly service."),
    MibObject("coldloopAlarmState", 6, _enum(ALARM_STATES), "State (ISA-18.2)."),
    MibObject("coldloopAlarmText", 7, _TEXT, "Text of the agent."),
    MibObject("coldloopAlarmAction", 8, _TEXT, "What to do first."),
    MibObject("coldloopAlarmRaised", 9, _TIME, "Time of the alarm, UTC. No instance: not known."),
    MibObject("coldloopAlarmCleared", 10, _TIME, "End of the alarm, UTC. No instance: not known."),
    MibObject("coldloopAlarmUnitState", 11, "ColdloopState", "State that the alarm causes."),
)  # fmt: skip
NOTIFICATIONS = {
    "coldloopAlarmWasRaised": "An alarm was raised. Also sent for each alarm at the start.",
    "coldloopAlarmWasCleared": "The condition of an alarm has ended.",
    "coldloopAlarmWasAcknowledged": "A person has acknowledged an alarm.",
}
NOTIFIED = tuple(f"coldloopAlarm{n}" for n in ("Code", "Source", "Priority", "State", "Text"))
"""Objects of each notification."""

_HEAD = f"""COLDLOOP-MIB DEFINITIONS ::= BEGIN

-- SPDX-License-Identifier: Apache-2.0
-- Made by deploy/northbound/snmp/mib_text.py; do not edit.

IMPORTS
    MODULE-IDENTITY, OBJECT-TYPE, NOTIFICATION-TYPE, Integer32, Unsigned32, Counter64, enterprises
        FROM SNMPv2-SMI
    TEXTUAL-CONVENTION, TruthValue, DateAndTime
        FROM SNMPv2-TC
    MODULE-COMPLIANCE, OBJECT-GROUP, NOTIFICATION-GROUP
        FROM SNMPv2-CONF
    SnmpAdminString
        FROM SNMP-FRAMEWORK-MIB;

coldloopMIB MODULE-IDENTITY
    LAST-UPDATED "{_UPDATED}"
    ORGANIZATION "coldloop"
    CONTACT-INFO "The maintainers of coldloop, see the file README.md of the project."
    DESCRIPTION
        "Values and alarms of a coolant distribution unit (CDU). All objects are read-only.
        A value that is not known has no instance."
    REVISION "{_UPDATED}"
    DESCRIPTION "First version."
    ::= {{ <parent> <number> }}

<nodes>
coldloopNotifications OBJECT IDENTIFIER ::= {{ coldloopMIB 0 }}
coldloopObjects       OBJECT IDENTIFIER ::= {{ coldloopMIB 1 }}
coldloopConformance   OBJECT IDENTIFIER ::= {{ coldloopMIB 2 }}
coldloopUnit          OBJECT IDENTIFIER ::= {{ coldloopObjects 1 }}
coldloopReadings      OBJECT IDENTIFIER ::= {{ coldloopObjects 2 }}
coldloopTables        OBJECT IDENTIFIER ::= {{ coldloopObjects 3 }}
coldloopAlarms        OBJECT IDENTIFIER ::= {{ coldloopObjects 4 }}
coldloopGroups        OBJECT IDENTIFIER ::= {{ coldloopConformance 1 }}
coldloopCompliances   OBJECT IDENTIFIER ::= {{ coldloopConformance 2 }}

ColdloopState ::= TEXTUAL-CONVENTION
    STATUS current
    DESCRIPTION "State of the unit."
    SYNTAX {_enum(STATES)}
"""


def _nodes(root: Oid) -> list[tuple[str, str, int]]:
    """Return name, parent and number of each node between `enterprises` and the module."""
    numbers = root[len(ENTERPRISES) : -1]
    playground = root[: len(PLAYGROUND)] == PLAYGROUND
    names = ["netSnmp", "netSnmpExperimental", "netSnmpPlayground"] if playground else []
    names += [f"coldloopNode{n}" for n in range(len(names) + 1, len(numbers) + 1)]
    return list(zip(names, ["enterprises", *names], numbers, strict=False))


def _head(root: Oid) -> str:
    nodes = _nodes(root)
    lines = [f"{name} OBJECT IDENTIFIER ::= {{ {parent} {n} }}\n" for name, parent, n in nodes]
    text = _HEAD.replace("<parent>", nodes[-1][0]).replace("<number>", str(root[-1]))
    return text.replace("<nodes>", "".join(lines))


def mib_text(root: Oid = ROOT) -> str:
    """Return the whole module with `root` as its identifier."""
    scalars, tables = _points()
    parts = [_head(root), *(_object(o, "coldloopUnit") for o in UNIT)]
    parts += [_object(scalar, "coldloopReadings") for scalar in scalars]
    parts.append(_table("Point", "coldloopTables", 1, _POINT, "All points with their quality."))
    for name, number in TABLE_NUMBERS.items():
        if name in tables:
            parts.append(
                _table(name, "coldloopTables", number, tables[name], f"Values of each {name}.")
            )
    parts.append(_table("Alarm", "coldloopAlarms", 1, _ALARM, "Alarms of the unit.", 2))
    parts += [_notification(n, name) for n, name in enumerate(NOTIFICATIONS, 1)]
    groups = {
        "coldloopUnitGroup": UNIT,
        "coldloopReadingsGroup": scalars,
        "coldloopTablesGroup": (*_POINT, *(o for table in tables.values() for o in table)),
        "coldloopAlarmGroup": _ALARM,
    }
    parts += list(_conformance(groups))
    return "\n".join([*parts, "END", ""])


def _points() -> tuple[tuple[MibObject, ...], dict[str, tuple[MibObject, ...]]]:
    """Return the scalars, and the columns of each table with its index."""
    scalars: list[MibObject] = []
    tables: dict[str, dict[int, MibObject]] = {}
    numbers = {number: name for name, number in TABLE_NUMBERS.items()}
    for point in snmp_points().values():
        if point.row.instance == 0:
            scalars.append(_of_point(point, point.oid[-2]))
            continue
        name = numbers[point.oid[-4]]
        index = MibObject(
            f"coldloop{name}Index", 1, "Unsigned32 (1..255)", "Number.", access="not-accessible"
        )
        columns = tables.setdefault(name, {1: index})
        columns.setdefault(point.oid[-2], _of_point(point, point.oid[-2]))
    ordered = {name: tuple(c for _, c in sorted(t.items())) for name, t in tables.items()}
    return tuple(sorted(scalars, key=lambda o: o.number)), ordered


def _of_point(point: SnmpPoint, number: int) -> MibObject:
    title = point.row.title.replace(f" {point.row.instance}", "") if point.row.instance else (
        point.row.title
    )  # fmt: skip
    syntax = "ColdloopState" if point.type == "UnitState" else point.type
    if point.type == "Enum":
        syntax = _enum(point.row.words)
    return MibObject(point.name, number, syntax, f"{title}. No instance: not known.", point.units)


def _object(item: MibObject, parent: str) -> str:
    units = f'    UNITS       "{item.units}"\n' if item.units else ""
    syntax = "\n                ".join(wrap(item.syntax, 70))
    return (
        f"{item.name} OBJECT-TYPE\n    SYNTAX      {syntax}\n{units}"
        f"    MAX-ACCESS  {item.access}\n    STATUS      current\n"
        f'    DESCRIPTION "{item.description}"\n    ::= {{ {parent} {item.number} }}\n'
    )


def _table(
    name: str, parent: str, number: int, columns: tuple[MibObject, ...], text: str, indexes: int = 1
) -> str:
    """Return a table: its first columns are the index."""
    entry, kind = f"coldloop{name}Entry", f"Coldloop{name}Entry"
    index = ", ".join(column.name for column in columns[:indexes])
    fields = ",\n".join(f"    {column.name} {_base(column.syntax)}" for column in columns)
    head = (
        f"coldloop{name}Table OBJECT-TYPE\n    SYNTAX      SEQUENCE OF {kind}\n"
        f"    MAX-ACCESS  not-accessible\n    STATUS      current\n"
        f'    DESCRIPTION "{text}"\n    ::= {{ {parent} {number} }}\n\n'
        f"{entry} OBJECT-TYPE\n    SYNTAX      {kind}\n"
        f"    MAX-ACCESS  not-accessible\n    STATUS      current\n"
        f'    DESCRIPTION "One row."\n    INDEX       {{ {index} }}\n'
        f"    ::= {{ coldloop{name}Table 1 }}\n\n"
        f"{kind} ::= SEQUENCE {{\n{fields}\n}}\n"
    )
    return "\n".join([head, *(_object(column, entry) for column in columns)])


def _base(syntax: str) -> str:
    """Return a syntax without its range and numbers, as SEQUENCE wants it."""
    return syntax.partition(" ")[0]


def _notification(number: int, name: str) -> str:
    objects = ", ".join(NOTIFIED)
    body = "\n                ".join(wrap(objects, 80))
    return (
        f"{name} NOTIFICATION-TYPE\n    OBJECTS     {{ {body} }}\n    STATUS      current\n"
        f'    DESCRIPTION "{NOTIFICATIONS[name]}"\n    ::= {{ coldloopNotifications {number} }}\n'
    )


def _conformance(groups: dict[str, tuple[MibObject, ...]]) -> Iterator[str]:
    for number, (name, items) in enumerate(groups.items(), 1):
        listed = ", ".join(item.name for item in items if item.access != "not-accessible")
        yield _group("OBJECT-GROUP", name, "OBJECTS", listed, number)
    listed = ", ".join(NOTIFICATIONS)
    number = len(groups) + 1
    yield _group("NOTIFICATION-GROUP", "coldloopNotificationGroup", "NOTIFICATIONS", listed, number)
    mandatory = ",\n                       ".join([*groups, "coldloopNotificationGroup"])
    yield (
        "coldloopCompliance MODULE-COMPLIANCE\n    STATUS      current\n"
        '    DESCRIPTION "All groups are implemented."\n    MODULE\n'
        f"    MANDATORY-GROUPS {{ {mandatory} }}\n    ::= {{ coldloopCompliances 1 }}\n"
    )


def _group(kind: str, name: str, word: str, listed: str, number: int) -> str:
    body = "\n        ".join(wrap(listed, 80))
    return (
        f"{name} {kind}\n    {word} {{\n        {body} }}\n    STATUS      current\n"
        f'    DESCRIPTION "Objects of {name}."\n    ::= {{ coldloopGroups {number} }}\n'
    )


if __name__ == "__main__":
    sys.stdout.write(mib_text())
