# SPDX-License-Identifier: Apache-2.0
"""Chassis: the cabinet, its sensors, the set-points as controls, and the metric report.

Does not decide on a write: `deploy.northbound.access` does. A PATCH of a set-point is accepted with
a task (202): the agent tests the change on trial before it is in force.
"""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

from deploy.northbound.access.types import Refusal, SetPointChange
from deploy.northbound.points.point_table import SEVERAL, metric_id, point_table
from deploy.northbound.redfish.messages import Json, RedfishError, message
from deploy.northbound.redfish.resource import (
    ROOT,
    Call,
    PropertyPatch,
    Reply,
    Resource,
    ResourceTree,
    collection,
    link,
)
from deploy.northbound.redfish.resources.tasks import TaskList
from deploy.northbound.redfish.sensors import (
    CHASSIS,
    MANAGER,
    SENSORS,
    UNIT,
    SensorModel,
    point_status,
    unit_status,
    utc_text,
)
from deploy.northbound.snapshot import Snapshot

_CONTROLS = {
    "SupplyTemperature": ("supply_setpoint", "supply_temperature", "Temperature", "Cel"),
    "DeltaPressure": ("pressure_setpoint", "differential_pressure", "PressurekPa", "kPa"),
}
"""Controls: id, key of the set-point, key of the controlled point, ControlType, unit."""
_LIVE = ("Sensor", "SetPoint", "Status")
"""Readings of a Control: the entity tag is for the configured value and its limits."""
_STALE_RETRY_S = 5
_NAMESPACE = uuid.UUID("6f1c5a52-8d0e-4b63-9c53-0f1f0c1d9c2e")


def unit_uuid(serial: str, part: str) -> str:
    """Return the UUID of a part of the unit; the same serial number gives the same UUID."""
    return str(uuid.uuid5(_NAMESPACE, f"{serial}/{part}"))


class ChassisResources:
    """Adds the resources below /redfish/v1/Chassis and the TelemetryService to a tree."""

    def __init__(self, tree: ResourceTree, sensors: SensorModel, tasks: TaskList) -> None:
        self._sensors = sensors
        self._tasks = tasks
        self._setpoints: frozenset[str] = frozenset()
        tree.add(
            collection(f"{ROOT}/Chassis", "ChassisCollection", "Chassis", lambda: ["1"]),
            Resource(CHASSIS, "Chassis", "Cabinet of the unit", self._chassis),
            Resource(f"{CHASSIS}/EnvironmentMetrics", "EnvironmentMetrics",
                     "Environment of the cabinet", lambda: sensors.excerpts("chassis")),
            collection(SENSORS, "SensorCollection", "Sensors", sensors.ids),
            collection(f"{CHASSIS}/Controls", "ControlCollection", "Set-points", self._controls),
        )  # fmt: skip
        tree.add_members(SENSORS, self._sensor)
        tree.add_members(f"{CHASSIS}/Controls", self._control)
        add_telemetry(tree, sensors)

    def _chassis(self) -> Json:
        snapshot = self._sensors.read()
        plate = snapshot.identity
        return {
            "ChassisType": "Rack",
            "Manufacturer": plate.manufacturer or None,
            "Model": plate.model or None,
            "PartNumber": plate.part_number or None,
            "SerialNumber": plate.serial_number or None,
            "AssetTag": plate.asset_tag or None,
            "Version": None,
            "UUID": unit_uuid(plate.serial_number or plate.unit, "chassis"),
            "PowerState": None if snapshot.stale else "On",
            "Status": unit_status(snapshot),
            "Sensors": link(SENSORS),
            "Controls": link(f"{CHASSIS}/Controls"),
            "EnvironmentMetrics": link(f"{CHASSIS}/EnvironmentMetrics"),
            "LeakDetectors": link(f"{CHASSIS}/LeakDetectors"),
            "Links": {"CoolingUnits": [link(UNIT)], "ManagedBy": [link(MANAGER)]},
        }

    def _sensor(self, name: str) -> Resource | None:
        key = self._sensors.key(name)
        if key is None:
            return None
        title = point_table()[key].title
        return Resource(f"{SENSORS}/{name}", "Sensor", title, lambda: self._sensors.sensor(key))

    def _controls(self) -> list[str]:
        """Return the controls of the newest record with values; a stale one removes none."""
        snapshot = self._sensors.read()
        if not snapshot.stale:
            self._setpoints = frozenset(snapshot.setpoints)
        return [name for name, entry in _CONTROLS.items() if entry[0] in self._setpoints]

    def _control(self, name: str) -> Resource | None:
        snapshot, known = self._sensors.read(), self._controls()
        never_read = snapshot.stale and not self._setpoints
        if name not in known and not (never_read and name in _CONTROLS):
            return None
        key = _CONTROLS[name][0]
        patch = None
        if snapshot.stale:
            patch = PropertyPatch({"SetPoint": lambda _value: None}, _refuse_stale)
        elif key in snapshot.setpoints and snapshot.setpoints[key].writable:
            patch = PropertyPatch({"SetPoint": lambda value: self._check(key, value)},
                          lambda call, values: self._write(key, call, values))  # fmt: skip
        title = point_table()[key].title
        path = f"{CHASSIS}/Controls/{name}"
        build: Callable[[], Json] = lambda: self._control_body(name)  # noqa: E731
        return Resource(path, "Control", title, build, patch, live=_LIVE)

    def _control_body(self, name: str) -> Json:
        key, sensor, kind, unit = _CONTROLS[name]
        snapshot = self._sensors.read()
        limits = snapshot.setpoints.get(key)
        value = self._sensors.reading(key, snapshot)
        return {
            "ControlType": kind,
            "SetPointType": "Single",
            "ControlMode": "Automatic",
            "SetPoint": value,
            "SetPointUnits": unit,
            "DefaultSetPoint": _scaled(key, limits.configured) if limits else None,
            "AllowableMin": _scaled(key, limits.low) if limits else None,
            "AllowableMax": _scaled(key, limits.high) if limits else None,
            "PhysicalContext": "LiquidOutlet",
            "Implementation": "Programmable",
            "Sensor": self._sensors.excerpt(sensor, snapshot),
            "Status": point_status(key, snapshot),
        }

    def _check(self, key: str, value: Any) -> Json | None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return message("PropertyValueTypeError", value, "SetPoint", related=["SetPoint"])
        limits = self._sensors.read().setpoints.get(key)
        if limits is None or not _scaled(key, limits.low) <= value <= _scaled(key, limits.high):
            return message("PropertyValueOutOfRange", value, "SetPoint", related=["SetPoint"])
        return None

    def _write(self, key: str, call: Call, values: Json) -> Reply:
        change = SetPointChange(key, point_table()[key].raw(values["SetPoint"]))
        result = self._tasks.submit(change, call)
        if isinstance(result, Refusal):
            if result.retry_s:
                raise RedfishError(
                    503,
                    message("ServiceTemporarilyUnavailable", result.retry_s),
                    headers={"Retry-After": str(result.retry_s)},
                )
            text = message("PropertyNotWritable", "SetPoint", related=["SetPoint"])
            raise RedfishError(400, {**text, "Resolution": result.reason})
        return result


def _refuse_stale(_call: Call, _values: Json) -> Reply:
    """Refuse a write while the agent does not run: whether it is permitted is not known."""
    text = message("ServiceTemporarilyUnavailable", _STALE_RETRY_S)
    raise RedfishError(503, text, headers={"Retry-After": str(_STALE_RETRY_S)})


def _scaled(key: str, raw: int | None) -> float:
    return 0.0 if raw is None else round(point_table()[key].value(raw), 3)


def _values_without_sensors(sensors: SensorModel, snapshot: Snapshot) -> Iterator[Json]:
    """Return the values of a pair of controllers and of a group of units; words as words."""
    for key, row in point_table().items():
        point, mark = snapshot.points[key], SEVERAL.get(row.group)
        if mark is None or not sensors.has_shown(mark):
            continue
        raw = None if snapshot.points[mark].quality == "absent" else point.raw
        value = None if raw is None else str(raw)
        if raw is not None and row.words:
            value = row.words[raw]
        yield {"MetricId": metric_id(key), "MetricValue": value}


def add_telemetry(tree: ResourceTree, sensors: SensorModel) -> None:
    """Add the TelemetryService: one report with the readings of all sensors."""
    path = f"{ROOT}/TelemetryService"
    definition, report = f"{path}/MetricReportDefinitions/All", f"{path}/MetricReports/All"

    def properties() -> list[str]:
        return [f"{SENSORS}/{name}#/Reading" for name in sensors.ids()]

    def values() -> Json:
        snapshot = sensors.read()
        stamp = utc_text(snapshot.utc)
        found = []
        for name in sensors.ids():
            key = sensors.key(name)
            reading = sensors.reading(key, snapshot) if key else None
            value: Json = {
                "MetricId": name,
                "MetricProperty": f"{SENSORS}/{name}#/Reading",
                "MetricValue": None if reading is None else f"{reading:.12g}",
            }
            found.append({**value, "Timestamp": stamp} if stamp else value)
        others = _values_without_sensors(sensors, snapshot)
        found += [{**value, "Timestamp": stamp} if stamp else value for value in others]
        head: Json = {"Timestamp": stamp} if stamp else {}
        head["MetricReportDefinition"] = link(definition)
        return {**head, "MetricValues": found}

    def describe() -> Json:
        return {
            "MetricReportDefinitionType": "Periodic",
            "Schedule": {"RecurrenceInterval": "PT1S"},
            "ReportActions": ["LogToMetricReportsCollection"],
            "ReportUpdates": "Overwrite",
            "MetricProperties": properties(),
            "MetricReport": link(report),
            "Status": {"State": "Enabled", "Health": "OK"},
        }

    def service() -> Json:
        return {
            "ServiceEnabled": True,
            "Status": {"State": "Enabled", "Health": "OK"},
            "MinCollectionInterval": "PT1S",
            "MetricReportDefinitions": link(f"{path}/MetricReportDefinitions"),
            "MetricReports": link(f"{path}/MetricReports"),
        }

    tree.add(
        Resource(path, "TelemetryService", "Telemetry service", service),
        collection(f"{path}/MetricReportDefinitions", "MetricReportDefinitionCollection",
                   "Metric report definitions", lambda: ["All"]),
        collection(f"{path}/MetricReports", "MetricReportCollection", "Metric reports",
                   lambda: ["All"]),
        Resource(definition, "MetricReportDefinition", "All readings", describe),
        Resource(report, "MetricReport", "All readings", values),
    )  # fmt: skip
