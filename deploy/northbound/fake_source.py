# SPDX-License-Identifier: Apache-2.0
"""A source of snapshots for tests and for work without an agent: random or chosen values.

Not a plant model: the values are independent. The same seed gives the same snapshots.
"""

import dataclasses
import random
from datetime import UTC, datetime, timedelta

from deploy.northbound.points.point_table import PointRow, point_table
from deploy.northbound.snapshot import (
    ALARM_STATES,
    ActuatorItem,
    AlarmItem,
    Identity,
    PointValue,
    SetPoint,
    Snapshot,
)

_START = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)
_SAMPLE_CODES = ("supply_high", "device_lost", "leak_warning", "pump_trip", "clock_unsynchronised")


class FakeSource:
    """Returns `snapshot`; `step` replaces it by a random one, with the next sequence number."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(f"{seed}/northbound")
        self.snapshot = Snapshot()
        self.step()

    def read(self) -> Snapshot:
        """Return the snapshot."""
        return self.snapshot

    def replace(self, **fields: object) -> None:
        """Replace fields of the snapshot; it is a new record."""
        fields.setdefault("sequence", self.snapshot.sequence + 1)
        self.snapshot = dataclasses.replace(self.snapshot, **fields)  # type: ignore[arg-type]

    def set_point(self, key: str, raw: int | None, quality: str = "good") -> None:
        """Set one value; it is a new record."""
        age_ms = None if raw is None else 200
        value = PointValue(key, raw, quality, age_ms)
        self.replace(points={**self.snapshot.points, key: value})

    def stop(self) -> None:
        """Stop the agent: the record becomes stale."""
        self.snapshot = Snapshot(sequence=self.snapshot.sequence, age_ms=60_000)

    def step(self) -> None:
        """Make a random snapshot; about a tenth of the values is not known."""
        rng, sequence = self._random, self.snapshot.sequence + 1
        state = rng.choice(("normal", "degraded", "safe", "stopped"))
        points = {row.key: self._value(row) for row in point_table().values()}
        number = ("unknown", "normal", "degraded", "safe", "stopped").index(state)
        points["unit_state"] = PointValue("unit_state", number, "good", 0)
        alarms = tuple(
            self._alarm(index, code)
            for index, code in enumerate(rng.sample(_SAMPLE_CODES, rng.randrange(4)))
        )
        self.snapshot = Snapshot(
            sequence=sequence,
            age_ms=rng.randrange(1000),
            stale=False,
            uptime_us=sequence * 1_000_000,
            utc=_START + timedelta(seconds=sequence),
            utc_bound_us=rng.randrange(100, 100_000),
            unit_state=state,
            points=points,
            setpoints={
                "supply_setpoint": SetPoint(
                    "supply_setpoint",
                    configured=32_000,
                    low=15_000,
                    high=45_000,
                    writable=False,
                    path="control.supply.setpoint_c",
                ),
                "pressure_setpoint": SetPoint(
                    "pressure_setpoint",
                    configured=120_000,
                    low=20_000,
                    high=200_000,
                    writable=False,
                    path="control.dp.setpoint_kpa",
                ),
            },
            alarms=alarms,
            actuators=(
                ActuatorItem("valve", "supply_loop", 0, 55.0),
                ActuatorItem("pumps", "pressure_loop", 0, 71.5),
            ),
            identity=Identity(
                site="demo",
                unit="row1-cdu1",
                manufacturer="Example",
                model="CDU-100",
                part_number="P-1",
                serial_number="S-0001",
            ),
            software="coldloop 0.2.0",
            configuration=(7, "ab" * 32),
            clock={"state": "sync"},
            link={"connected": True},
        )

    def _value(self, row: PointRow) -> PointValue:
        rng = self._random
        if rng.random() < 0.1:
            return PointValue(row.key, None, rng.choice(("bad", "absent")), None)
        quality = "good" if rng.random() < 0.9 else "uncertain"
        low, high = max(row.low, -100_000), min(row.high, 150_000)
        return PointValue(row.key, rng.randint(low, high), quality, rng.randrange(1000))

    def _alarm(self, index: int, code: str) -> AlarmItem:
        state = self._random.choice(ALARM_STATES)
        raised = _START + timedelta(seconds=index)
        cleared = raised + timedelta(seconds=60) if state == "cleared_unacknowledged" else None
        name = "valve" if code == "device_lost" else ""
        text = f"text of {code}"
        return AlarmItem(
            101 + index, code, name, 1 + index % 4, state, text, "What to do.", raised, cleared
        )
