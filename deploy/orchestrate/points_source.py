# SPDX-License-Identifier: Apache-2.0
"""A row's reading from the record of points that the agent writes (section `northbound`).

Does not parse the record; see `deploy.northbound.record`. That reader gives no values from a record
of more than 3 s. The states of the power limits come from the alarms: the record has no point for
them.
"""

from pathlib import Path
from typing import Protocol

from deploy.northbound.record import SnapshotSource
from deploy.northbound.snapshot import Snapshot
from deploy.orchestrate.reading import RowReading, limits_state, make_reading


class _Reader(Protocol):
    def read(self) -> Snapshot:
        """Return the newest snapshot."""
        ...


class PointsFolder:
    """The record in `folder`, such as /run/coldloop."""

    def __init__(self, folder: str, reader: _Reader | None = None) -> None:
        self._reader = reader or SnapshotSource(Path(folder))

    def read(self) -> RowReading | None:
        """Return the reading; None: no record, or one that is too old."""
        snapshot = self._reader.read()
        if snapshot.stale:
            return None
        headroom_w, heat_w = (_good(snapshot, key) for key in ("headroom", "heat"))
        ages = [snapshot.points[key].age_ms or 0 for key in ("headroom", "heat")]
        return make_reading(
            headroom_w,
            heat_w,
            limits_state({alarm.code for alarm in snapshot.alarms if alarm.active}, headroom_w),
            snapshot.unit_state,
            max([snapshot.age_ms or 0, *ages]) / 1000.0,
            "points",
        )

    def close(self) -> None:
        """Do nothing."""


def _good(snapshot: Snapshot, key: str) -> float | None:
    return snapshot.value(key) if snapshot.points[key].quality == "good" else None
