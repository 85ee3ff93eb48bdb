# SPDX-License-Identifier: Apache-2.0
"""BACnet objects of the points: analog, binary, multi-state and integer values.

Does not send and does not decide on writes; see `device`. points/bacnet.toml has the type and the
number of each object. A value that is not known is NaN (analog), inactive (binary), the state
`unknown` or 4294967295 (integer), always with the flag FAULT and a Reliability other than
NO_FAULT_DETECTED. A value of quality `uncertain` has no flag, because BACnet has no word for it.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

from bacpypes3.basetypes import EngineeringUnits, Reliability
from bacpypes3.local.analog import AnalogInputObject, AnalogValueObject
from bacpypes3.local.binary import BinaryInputObject
from bacpypes3.local.multistate import MultiStateValueObject
from bacpypes3.local.object import Object
from bacpypes3.object import PositiveIntegerValueObject

from deploy.northbound.bacnet.subscriptions import ChangeCriteria, IncrementCriteria
from deploy.northbound.bacnet.update_faults import UpdateFaults
from deploy.northbound.points.point_table import PointRow, columns, point_table
from deploy.northbound.snapshot import PointValue, Snapshot

UNKNOWN_INTEGER = 0xFFFF_FFFF
_RELIABILITY = {
    "good": Reliability.noFaultDetected,
    "uncertain": Reliability.noFaultDetected,
    "bad": Reliability.unreliableOther,
    "absent": Reliability.noSensor,
}
NO_FLAGS = [0, 0, 0, 0]
FAULT = [0, 1, 0, 0]
"""Values of Status_Flags: IN_ALARM, FAULT, OVERRIDDEN, OUT_OF_SERVICE."""


class FlaggedObject(Object):
    """Tells subscriptions of a change of Status_Flags.

    bacpypes3 computes the flags from Event_State and Reliability and does not see their change.
    """

    def publish(self, **properties: Any) -> None:
        """Set properties; report the flags if they have changed. Raises the first fault."""
        fault = self.attempt_publish(**properties)
        if fault is not None:
            raise fault

    def attempt_publish(self, **properties: Any) -> Exception | None:
        """Do the same and return the first fault.

        A property that fails stops no other, and the object is unreliable.
        """
        old = self.statusFlags
        faults: list[Exception] = []
        for name, value in properties.items():
            self._attempt(faults, setattr, self, name, value)
        if faults:
            self._attempt(faults, setattr, self, "reliability", Reliability.unreliableOther)
        new = self.statusFlags
        if new != old:
            for report in list(self._property_monitors["statusFlags"]):
                self._attempt(faults, report, old, new)
        return faults[0] if faults else None

    @staticmethod
    def _attempt(faults: list[Exception], work: Callable[..., object], *arguments: Any) -> None:
        try:
            work(*arguments)
        except Exception as error:  # noqa: BLE001 - any fault of the library
            faults.append(error)


class FlaggedInput(FlaggedObject, AnalogInputObject):
    """An analog input."""

    _cov_criteria = IncrementCriteria


class FlaggedValue(FlaggedObject, AnalogValueObject):
    """An analog value."""

    _cov_criteria = IncrementCriteria


class FlaggedBit(FlaggedObject, BinaryInputObject):
    """A binary input."""

    _cov_criteria = ChangeCriteria


class FlaggedState(FlaggedObject, MultiStateValueObject):
    """A multi-state value."""

    _cov_criteria = ChangeCriteria


class FlaggedInteger(FlaggedObject, PositiveIntegerValueObject):
    """A positive integer value, for counters that do not fit a 32-bit float."""

    _cov_criteria = ChangeCriteria


_CLASSES = {
    "analog-input": FlaggedInput,
    "analog-value": FlaggedValue,
    "binary-input": FlaggedBit,
    "multi-state-value": FlaggedState,
    "positive-integer-value": FlaggedInteger,
}


class PointObject:
    """One point and its object. `update` copies a value into the object."""

    def __init__(self, row: PointRow, column: dict[str, Any]) -> None:
        self.row = row
        self.kind: str = column["object"]
        self.factor = row.scale * column.get("factor", 1)
        number = column["instance"] + max(0, row.instance - 1)
        fields: dict[str, Any] = {
            "objectIdentifier": (self.kind, number),
            "objectName": row.key,
            "description": row.title,
            "eventState": "normal",
            "reliability": Reliability.noSensor,
            "outOfService": False,
            "presentValue": self._present(None),
        }
        if "units" in column:
            fields["units"] = EngineeringUnits(column["units"])
        if "cov" in column:
            fields["covIncrement"] = column["cov"]
        if self.kind == "binary-input":
            fields |= {"polarity": "normal", "activeText": "on", "inactiveText": "off"}
        if self.kind == "multi-state-value":
            fields |= {"numberOfStates": len(row.words), "stateText": list(row.words)}
        self.object = _CLASSES[self.kind](**fields)

    def update(self, value: PointValue, stale: bool) -> None:
        """Copy a value into the object. `stale`: there is no current record."""
        reliability = Reliability.communicationFailure if stale else _RELIABILITY[value.quality]
        if value.raw is None and reliability == Reliability.noFaultDetected:
            reliability = Reliability.unreliableOther
        self.object.publish(presentValue=self._present(value.raw), reliability=reliability)

    def _present(self, raw: int | None) -> Any:
        """Return Present_Value of a raw value."""
        if self.kind == "binary-input":
            return "active" if raw else "inactive"
        if self.kind == "multi-state-value":
            return 1 if raw is None else raw + 1
        if self.kind == "positive-integer-value":
            value = UNKNOWN_INTEGER if raw is None else round(raw * self.factor)
            return min(max(value, 0), UNKNOWN_INTEGER)
        return math.nan if raw is None else raw * self.factor


class PointObjects:
    """All points of the table."""

    def __init__(self, faults: UpdateFaults) -> None:
        self._faults = faults
        self.by_key = {
            key: PointObject(point_table()[key], dict(column))
            for key, column in columns("bacnet").items()
        }
        for key in ("supply_setpoint", "pressure_setpoint"):
            self.by_key[key].object.minPresValue = self.by_key[key].row.value(
                self.by_key[key].row.low
            )
            self.by_key[key].object.maxPresValue = self.by_key[key].row.value(
                self.by_key[key].row.high
            )

    def objects(self) -> Iterator[Any]:
        """Return the objects of bacpypes3."""
        return (point.object for point in self.by_key.values())

    def find(self, identifier: Any) -> PointObject | None:
        """Return the point of an object identifier."""
        for point in self.by_key.values():
            if point.object.objectIdentifier == identifier:
                return point
        return None

    def update(self, snapshot: Snapshot) -> None:
        """Copy all values of a snapshot; the limits of set-points too. Faults are counted."""
        for key, point in self.by_key.items():
            try:
                point.update(snapshot.points[key], snapshot.stale)
            except Exception as error:  # noqa: BLE001 - the other points go on
                self._faults.report(key, error)
        for key, setpoint in snapshot.setpoints.items():
            found = self.by_key.get(key)
            if found is not None:
                found.object.minPresValue = found.row.value(setpoint.low)
                found.object.maxPresValue = found.row.value(setpoint.high)
