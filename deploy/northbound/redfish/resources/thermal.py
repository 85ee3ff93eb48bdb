# SPDX-License-Identifier: Apache-2.0
"""ThermalEquipment: the unit with connectors, pumps, filter, reservoir and leak detectors.

Does not have sensors and set-points; see `deploy.northbound.redfish.resources.chassis`. Name-plate
values that the configuration does not have are null.
"""

import functools

from deploy.northbound.redfish.messages import Json
from deploy.northbound.redfish.resource import ROOT, Resource, ResourceTree, collection, link
from deploy.northbound.redfish.sensors import (
    CHASSIS,
    MANAGER,
    UNIT,
    SensorModel,
    name_of,
    point_status,
    unit_status,
)

_THERMAL = f"{ROOT}/ThermalEquipment"
_COOLANT = {
    "CoolantType": None,
    "DensityKgPerCubicMeter": None,
    "SpecificHeatkJoulesPerKgK": None,
}
_EXCERPTS = (
    "HeatRemovedkW", "FlowLitersPerMinute", "SupplyTemperatureCelsius", "ReturnTemperatureCelsius",
    "DeltaTemperatureCelsius", "SupplyPressurekPa", "ReturnPressurekPa", "DeltaPressurekPa",
)  # fmt: skip
_PART_LINKS = (
    "Pumps", "Filters", "Reservoirs", "PrimaryCoolantConnectors", "SecondaryCoolantConnectors",
    "LeakDetection", "EnvironmentMetrics",
)  # fmt: skip
_CONNECTOR_SIDES = (("Primary", "primary", "Facility"), ("Secondary", "secondary", "Secondary"))
_LEVEL_WARNING, _LEVEL_CRITICAL = 30.0, 10.0
"""Level of the reservoir in percent below which FluidLevelStatus is Warning or Critical."""


class ThermalResources:
    """Adds the resources below /redfish/v1/ThermalEquipment to a tree."""

    def __init__(self, tree: ResourceTree, sensors: SensorModel) -> None:
        self._sensors = sensors
        tree.add(
            Resource(_THERMAL, "ThermalEquipment", "Thermal equipment", self._root),
            collection(f"{_THERMAL}/CDUs", "CoolingUnitCollection", "CDUs", lambda: ["1"]),
            Resource(UNIT, "CoolingUnit", "Coolant distribution unit", self._unit),
            Resource(f"{UNIT}/EnvironmentMetrics", "EnvironmentMetrics", "Environment of the unit",
                     lambda: sensors.excerpts("unit")),
        )  # fmt: skip
        self._add_connectors(tree)
        self._add_parts(tree)
        self._add_leaks(tree)

    def _add_connectors(self, tree: ResourceTree) -> None:
        for side, key, label in _CONNECTOR_SIDES:
            path = f"{UNIT}/{side}CoolantConnectors"
            tree.add(
                collection(path, "CoolantConnectorCollection", f"{label} connectors",
                           lambda: ["1"]),
                Resource(f"{path}/1", "CoolantConnector", f"{label} connector",
                         functools.partial(self._connector, key)),
            )  # fmt: skip

    def _add_parts(self, tree: ResourceTree) -> None:
        pumps = f"{UNIT}/Pumps"
        tree.add(
            collection(pumps, "PumpCollection", "Pumps", lambda: map(str, self._pumps())),
            collection(f"{UNIT}/Filters", "FilterCollection", "Filters", lambda: ["1"]),
            Resource(f"{UNIT}/Filters/1", "Filter", "Filter of the secondary loop", self._filter),
            collection(f"{UNIT}/Reservoirs", "ReservoirCollection", "Reservoirs", lambda: ["1"]),
            Resource(f"{UNIT}/Reservoirs/1", "Reservoir", "Expansion reservoir", self._reservoir),
        )
        tree.add_members(pumps, lambda number: self._pump_resource(pumps, number))

    def _add_leaks(self, tree: ResourceTree) -> None:
        tree.add(Resource(f"{UNIT}/LeakDetection", "LeakDetection", "Leak detection", self._leaks))
        for parent in (f"{UNIT}/LeakDetection/LeakDetectors", f"{CHASSIS}/LeakDetectors"):
            tree.add(collection(parent, "LeakDetectorCollection", "Leak detectors",
                                lambda: map(str, self._detectors())))  # fmt: skip
            tree.add_members(parent, functools.partial(self._detector_resource, parent))

    def _pumps(self) -> list[int]:
        return self._sensors.instances("pump{n}_speed")

    def _detectors(self) -> list[int]:
        return self._sensors.instances("leak{n}")

    def _pump_resource(self, parent: str, number: str) -> Resource | None:
        if number not in map(str, self._pumps()):
            return None
        return Resource(f"{parent}/{number}", "Pump", f"Pump {number}", lambda: self._pump(number))

    def _detector_resource(self, parent: str, number: str) -> Resource | None:
        if number not in map(str, self._detectors()):
            return None
        name = f"Leak detector {number}"
        return Resource(f"{parent}/{number}", "LeakDetector", name, lambda: self._leak(number))

    def _root(self) -> Json:
        status = unit_status(self._sensors.read())
        return {"Status": status, "CDUs": link(f"{_THERMAL}/CDUs")}

    def _unit(self) -> Json:
        snapshot = self._sensors.read()
        nameplate = snapshot.identity
        content: Json = {
            "EquipmentType": "CDU",
            "Manufacturer": nameplate.manufacturer or None,
            "Model": nameplate.model or None,
            "PartNumber": nameplate.part_number or None,
            "SerialNumber": nameplate.serial_number or None,
            "AssetTag": nameplate.asset_tag or None,
            "ProductionDate": production_date(nameplate.production_date),
            "Version": None,
            "FirmwareVersion": snapshot.software or "unknown",
            **name_of(snapshot, "UserLabel"),
            "CoolingCapacityWatts": None,
            "Coolant": dict(_COOLANT),
            "Status": unit_status(snapshot),
            "Links": {"Chassis": [link(CHASSIS)], "ManagedBy": [link(MANAGER)]},
        }
        for name in _PART_LINKS:
            content[name] = link(f"{UNIT}/{name}")
        return content

    def _connector(self, side: str) -> Json:
        snapshot = self._sensors.read()
        readings = self._sensors.excerpts(side)
        controls = f"{CHASSIS}/Controls"
        content: Json = {
            "CoolantConnectorType": "Pair",
            "Coolant": dict(_COOLANT),
            "RatedFlowLitersPerMinute": None,
            "Status": unit_status(snapshot),
        }
        for name in _EXCERPTS:
            content[name] = readings.pop(name, {"Reading": None})
        content.update(readings)
        content["DeltaTemperatureCelsius"] = {"Reading": _difference(content)}
        if side == "secondary":
            for name, key in (("SupplyTemperatureControlCelsius", "supply_setpoint"),
                              ("DeltaPressureControlkPa", "pressure_setpoint")):  # fmt: skip
                if key in snapshot.setpoints:
                    number = {"supply_setpoint": "SupplyTemperature"}.get(key, "DeltaPressure")
                    content[name] = {
                        "DataSourceUri": f"{controls}/{number}",
                        "SetPoint": self._sensors.reading(key, snapshot),
                    }
        return content

    def _pump(self, number: str) -> Json:
        snapshot = self._sensors.read()
        key = f"pump{number}_speed"
        command, running = f"pump{number}_command", snapshot.points[f"pump{number}_running"]
        status = point_status(key, snapshot)
        if status["State"] == "Enabled" and running.raw == 0:
            status["State"] = "StandbySpare"
        names = ("", f"pump{number}")
        if any(
            alarm.active and alarm.code == "pump_trip" and alarm.name in names
            for alarm in snapshot.alarms
        ):
            status["Health"] = "Critical"
        return {
            "PumpType": "Liquid",
            "PumpSpeedPercent": self._sensors.excerpt(key, snapshot),
            "SpeedControlPercent": {"SetPoint": self._sensors.reading(command, snapshot)},
            "ServiceHours": snapshot.value(f"pump{number}_hours"),
            "PhysicalContext": "Pump",
            "Status": status,
            "Location": part_location(f"Pump {number}", int(number)),
        }

    def _filter(self) -> Json:
        snapshot = self._sensors.read()
        return {
            "HotPluggable": None,
            "Replaceable": True,
            "RatedServiceHours": None,
            "ServiceHours": snapshot.value("filter_hours"),
            "ServicedDate": None,
            **self._sensors.excerpts("filter"),
            "Status": point_status("filter_pressure", snapshot),
            "Location": part_location("Filter 1", 1),
        }

    def _reservoir(self) -> Json:
        snapshot = self._sensors.read()
        status = point_status("reservoir_level", snapshot)
        level = snapshot.value("reservoir_level")
        level_status: str | None = None
        if level is not None:
            level_status = "OK" if level >= _LEVEL_WARNING else "Warning"
            level_status = "Critical" if level < _LEVEL_CRITICAL else level_status
            status["Health"] = level_status
        return {
            "ReservoirType": None,
            "CapacityLiters": None,
            "FluidLevelStatus": level_status,
            **self._sensors.excerpts("reservoir"),
            "Status": status,
            "Location": part_location("Reservoir 1", 1),
        }

    def _leaks(self) -> Json:
        parent = f"{UNIT}/LeakDetection/LeakDetectors"
        detectors = [self._leak(str(number)) for number in self._detectors()]
        worst = _worst_health([detector["Status"]["Health"] for detector in detectors])
        state = "Enabled" if detectors else "Absent"
        group: Json = {
            "GroupName": "All leak detectors",
            "Detectors": [self._leak_excerpt(parent, number) for number in self._detectors()],
            "HumidityPercent": self._sensors.excerpt("air_humidity"),
            "Status": {"State": state, "Health": worst},
        }
        return {
            "Status": {"State": state, "Health": worst},
            "LeakDetectorGroups": [group],
            "LeakDetectors": link(parent),
        }

    def _leak_excerpt(self, parent: str, number: int) -> Json:
        state = self._leak(str(number))["DetectorState"]
        return {"DataSourceUri": f"{parent}/{number}", "DetectorState": state}

    def _leak(self, number: str) -> Json:
        key, snapshot = f"leak{number}", self._sensors.read()
        point, status = snapshot.points[key], point_status(key, snapshot)
        state = "Absent" if status["State"] == "Absent" else "Unavailable"
        if point.raw is not None:
            state = "Critical" if point.raw else "OK"
            status["Health"] = state
        return {
            "LeakDetectorType": None,
            "DetectorState": state,
            "Status": status,
            "Location": part_location(f"Leak detector {number}", int(number)),
        }


def _difference(content: Json) -> float | None:
    """Return the absolute difference of the two temperatures; None: one is not known."""
    supply_c = content["SupplyTemperatureCelsius"]["Reading"]
    return_c = content["ReturnTemperatureCelsius"]["Reading"]
    return None if supply_c is None or return_c is None else round(abs(return_c - supply_c), 3)


def _worst_health(level_status: list[str]) -> str:
    return next((word for word in ("Critical", "Warning") if word in level_status), "OK")


def part_location(label: str, number: int) -> Json:
    """Return the Location of a replaceable part inside the cabinet."""
    return {
        "PartLocation": {
            "ServiceLabel": label,
            "LocationOrdinalValue": number,
        }
    }


def production_date(text: str) -> str | None:
    """Return a date of the name plate as a time of Redfish; None: not known."""
    return f"{text[:10]}T00:00:00Z" if len(text) >= 10 else None
