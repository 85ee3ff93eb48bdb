# SPDX-License-Identifier: Apache-2.0
"""All alarms of the agent, collected from the packages that raise them.

Does not run on a board, and does not know the active alarms (see `agent.core.alarm_list`). The
bench takes the codes from here, docs/tools/reference.py the page of alarms. A test finds a record
in a module that `MODULES` does not name.
"""

from collections.abc import Iterator
from importlib import import_module

from agent.core.alarm_record import AlarmRecord

MODULES = (
    "agent.safety.supervisor",
    "agent.safety.interlock",
    "agent.safety.interlock_input",
    "agent.safety.loop_watch",
    "agent.safety.protection",
    "agent.safety.boot_loop_alarm",
    "agent.safety.pump_curve",
    "agent.safety.row_resistance",
    "agent.safety.start_permit",
    "agent.clock.evidence",
    "agent.clock.ntp.component",
    "agent.clock.persistence",
    "agent.gnss.detectors",
    "agent.gnss.group.component",
    "agent.gnss.receiver_setup",
    "agent.control.sensors",
    "agent.control.actuator.actuator_check",
    "agent.control.component",
    "agent.control.dew_control",
    "agent.control.fan_group",
    "agent.control.operation.manual",
    "agent.control.actuator.valve_check",
    "agent.control.watch.valve_watch",
    "agent.power.report",
    "agent.power.limit.load_shed",
    "agent.power.limit.effect_proof",
    "agent.power.detector.inlet_trend",
    "agent.power.limit.kept_limits",
    "agent.power.optics_monitor",
    "agent.core.port_link",
    "agent.core.fault.containment",
    "agent.satcom.component",
    "agent.redundancy.component",
    "agent.control.group.component",
)
"""The modules with records. A record is a constant of its module or stands in a tuple of it."""


def all_records() -> dict[str, AlarmRecord]:
    """Return the record of each alarm by its code."""
    records: dict[str, AlarmRecord] = {}
    for name in MODULES:
        for value in vars(import_module(name)).values():
            for record in _records_in(value):
                if records.setdefault(record.code, record) is not record:
                    raise ValueError(f"{name}: alarm {record.code} has two records")
    return records


def _records_in(value: object) -> Iterator[AlarmRecord]:
    if isinstance(value, AlarmRecord):
        yield value
    elif type(value) is tuple:
        for inner in value:
            yield from _records_in(inner)
