# SPDX-License-Identifier: Apache-2.0
"""Sensors from the point table, their excerpts in other resources, and the parts of the unit.

Does not read the record of points; see `deploy.northbound.snapshot`. A value that is not known has
`Reading: null` and the state UnavailableOffline. A part with a number (pump, fan, leak detector) is
in the tree from the first record on that has its points; a stale record does not remove it.
"""

import time
from collections.abc import Iterable
from typing import Any

from deploy.northbound.points.point_table import PointRow, columns, point_table
from deploy.northbound.redfish.messages import Json
from deploy.northbound.redfish.resource import ROOT, link
from deploy.northbound.snapshot import Snapshot, SnapshotReader

CHASSIS = f"{ROOT}/Chassis/1"
UNIT = f"{ROOT}/ThermalEquipment/CDUs/1"
MANAGER = f"{ROOT}/Managers/1"
SENSORS = f"{CHASSIS}/Sensors"
_ALWAYS = {"pump1_speed", "leak1"}
"""Points whose part is always in the tree: the OCP profile demands a pump and a leak detector."""
_PLACES = {
    "primary": f"{UNIT}/PrimaryCoolantConnectors/1",
    "secondary": f"{UNIT}/SecondaryCoolantConnectors/1",
    "filter": f"{UNIT}/Filters/1",
    "reservoir": f"{UNIT}/Reservoirs/1",
    "unit": f"{UNIT}/EnvironmentMetrics",
    "chassis": f"{CHASSIS}/EnvironmentMetrics",
}


class SensorModel:
    """The sensors of the unit; `read` gives the newest snapshot to all resources.

    `hold_s`: time for which a snapshot is used again, so that one request reads it once.
    `configured`: keys of points that the unit has by its configuration, also without a record.
    """

    def __init__(
        self, source: SnapshotReader, hold_s: float = 0.0, configured: Iterable[str] = ()
    ) -> None:
        self._source = source
        self._hold_s = hold_s
        self._until = 0.0
        self._snapshot = Snapshot()
        self._seen: set[str] = {*_ALWAYS, *configured}
        self._columns = columns("redfish")
        self._keys = {column["sensor"]: key for key, column in self._columns.items()}
        self._excerpts: dict[str, dict[str, str]] = {}
        for key, column in self._columns.items():
            for text in column.get("excerpts", "").split():
                place, name = text.split(":")
                self._excerpts.setdefault(place, {})[name] = key

    def read(self) -> Snapshot:
        """Return the newest snapshot and note which points the unit has."""
        now = time.monotonic()
        if now < self._until:
            return self._snapshot
        self._until = now + self._hold_s
        self._snapshot = snapshot = self._source.read()
        if not snapshot.stale:
            self._seen |= {key for key, p in snapshot.points.items() if p.quality != "absent"}
        return snapshot

    def has(self, key: str) -> bool:
        """Return whether the unit has a point; True for a point without a number."""
        return key in self._seen or not point_table()[key].instance

    def has_shown(self, key: str) -> bool:
        """Return whether the unit has a point: in a record until now, or by its configuration."""
        return key in self._seen

    def instances(self, template: str) -> list[int]:
        """Return the numbers of the instances that the unit has, for example of `leak{n}`."""
        self.read()
        rows = [row for row in point_table().values() if row.template == template]
        return [row.instance for row in rows if row.key in self._seen]

    def ids(self) -> list[str]:
        """Return the ids of all sensors."""
        self.read()
        return [name for name, key in self._keys.items() if self.has(key)]

    def key(self, sensor: str) -> str | None:
        """Return the key of the point of a sensor; None: the unit has no such sensor."""
        key = self._keys.get(sensor)
        return key if key is not None and self.has(key) else None

    def reading(self, key: str, snapshot: Snapshot | None = None) -> float | None:
        """Return the reading in the unit of the sensor; None: not known."""
        value = (snapshot or self.read()).value(key)
        if value is None:
            return None
        column = self._columns[key]
        factor, digits = float(column.get("factor", 1)), int(column["decimals"])
        return round(value * factor, digits)

    def sensor(self, key: str) -> Json:
        """Build the content of the resource Sensor of a point."""
        snapshot = self.read()
        row, column = point_table()[key], self._columns[key]
        factor = row.scale * column.get("factor", 1)
        content: Json = {
            "ReadingType": column["type"],
            "ReadingUnits": column["units"],
            "Reading": self.reading(key, snapshot),
            "ReadingRangeMin": round(row.low * factor, 3),
            "ReadingRangeMax": round(row.high * factor, 3),
            "PhysicalContext": column["context"],
            "Implementation": implementation(row),
            "Status": point_status(key, snapshot),
        }
        related = [link(_place(place)) for place, names in self._excerpts.items()
                   if key in names.values() and place != "leakgroup"]  # fmt: skip
        if related:
            content["RelatedItem"] = related
        return content

    def excerpts(self, place: str) -> Json:
        """Return the excerpts of all sensors that a resource shows."""
        snapshot = self.read()
        return {
            name: self.excerpt(key, snapshot)
            for name, key in self._excerpts.get(place, {}).items()
            if self.has(key)
        }

    def excerpt(self, key: str, snapshot: Snapshot | None = None) -> Json:
        """Return the excerpt of one sensor."""
        uri = f"{SENSORS}/{self._columns[key]['sensor']}"
        return {"DataSourceUri": uri, "Reading": self.reading(key, snapshot)}

    def uri(self, key: str) -> str:
        """Return the path of the sensor of a point."""
        return f"{SENSORS}/{self._columns[key]['sensor']}"


def _place(place: str) -> str:
    if place.startswith("pump"):
        return f"{UNIT}/Pumps/{place[4:]}"
    return _PLACES[place]


def implementation(row: PointRow) -> str:
    """Return how a sensor gets its reading: a computed value is Synthesized."""
    computed = ("heat", "dew_margin", "dew_point", "headroom", "load_limit")
    reported = ("{n}_command", "_command", "_setpoint")
    if row.template in computed:
        return "Synthesized"
    return "Reported" if row.template.endswith(reported) else "PhysicalSensor"


def point_status(key: str, snapshot: Snapshot) -> Json:
    """Return the Status of a part with one point. Absent: the unit does not have the point."""
    quality = snapshot.points[key].quality
    if quality == "good":
        return {"State": "Enabled", "Health": "OK"}
    if quality == "uncertain":
        return {"State": "Enabled", "Health": "Warning"}
    if quality == "absent" and not snapshot.stale:
        return {"State": "Absent", "Health": "OK"}
    return {"State": "UnavailableOffline", "Health": "Warning"}


_HEALTH: dict[str, tuple[str, str | None]] = {
    "normal": ("Enabled", "OK"),
    "degraded": ("Enabled", "Warning"),
    "safe": ("Enabled", "Critical"),
    "stopped": ("StandbyOffline", "Critical"),
}
"""Unit state: State and Health of Redfish."""


def unit_status(snapshot: Snapshot) -> Json:
    """Return the Status of the unit: from its state; not known: UnavailableOffline."""
    state, health = _HEALTH.get(snapshot.unit_state, ("UnavailableOffline", "Critical"))
    return {"State": state, "Health": health, "HealthRollup": health}


def name_of(snapshot: Snapshot, name: str) -> Json:
    """Return the property with site and unit; nothing if the record does not have them."""
    text = f"{snapshot.identity.site}/{snapshot.identity.unit}".strip("/")
    return {name: text} if text else {}


def utc_text(value: Any) -> str | None:
    """Return a time in the format of Redfish; None: not known."""
    return None if value is None else value.strftime("%Y-%m-%dT%H:%M:%SZ")
