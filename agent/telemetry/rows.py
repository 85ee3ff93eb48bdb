# SPDX-License-Identifier: Apache-2.0
"""Telemetry rows: readings and their time as scaled integers, queued in memory until they are sent.

Does not send (see `agent.telemetry.uplink`) and does not survive a power cut (see
`agent.log.component`). If the queue is full, the oldest row is dropped and counted; `seq` then has
a gap.

A row is JSON: `{"seq", "t", "clock", "state", "v": [raw, …]}`. `t` is UTC in µs, or null while it
is unknown. The values have the order of the points in the retained `state` message, which gives the
name, unit and scale of each point. A value is the integer of the register, or null if its quality
is not good. Names in each row would need five times the bytes on a satellite link.
"""

from agent.telemetry.row_queue import RowQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.component.base import Component
    from agent.fieldbus.fieldbus import Fieldbus


class Telemetry:
    """Rows with all points of all devices, at most `limit` in the queue."""

    def __init__(self, fieldbus: "Fieldbus", limit: int, guard: "Any" = None) -> None:
        self.seq = 0
        self.dropped = 0
        self._queues_rows = True
        self.queue = RowQueue(limit)
        self._sessions = fieldbus.sessions
        self.components: list[Component] = []
        self._guard = guard
        self._readings = [
            reading for session in fieldbus.sessions for reading in session.device.readings
        ]

    def stop_queue(self) -> None:
        """Stop queueing rows, because a log takes them (`agent.log`)."""
        self._queues_rows = False

    def has_queue(self) -> bool:
        """Return whether rows are queued here; False: a log takes them."""
        return self._queues_rows

    def add_components(self, components: "list[Component]") -> None:
        """Add the points of `components` after those of the devices."""
        self.components.extend(components)

    def add_row(self, now: int, utc: "int | None", clock: str, state: str, stale_us: int) -> None:
        """Add a row with the readings at `now` to the queue."""
        if not self._queues_rows:
            return
        self.seq += 1
        oldest = now - stale_us
        values = [
            str(reading.raw) if reading.quality == "good" and reading.read_at >= oldest else "null"
            for reading in self._readings
        ]
        found = self.component_values(now)
        values.extend(["null" if v is None else str(v) for v in found])
        text = '{"seq":%d,"t":%s,"clock":"%s","state":"%s","v":[%s]}' % (
            self.seq,
            "null" if utc is None else str(utc),
            clock,
            state,
            ",".join(values),
        )
        self.dropped += self.queue.add(text.encode())

    def component_values(self, now: int) -> "list[int | None]":
        """Return the values of the points of all components, in order. None: not known."""
        values: list[int | None] = []
        for component in self.components:
            try:
                found = component.values(now)
            except Exception as error:
                self._guard.handle(component, error, now)
                found = [None] * len(component.POINTS)
            values.extend(found)
        return values

    def describe(self) -> "list[object]":
        """Describe the values of a row in order: [device.Point, unit, numerator, denominator].

        The value is raw * numerator / denominator, in the unit (UCUM).
        """
        points: list[object] = [
            [session.name + "." + point.name, point.unit, point.numerator, point.denominator]
            for session in self._sessions
            for point in session.profile.points
        ]
        for component in self.components:
            points.extend([list(point) for point in component.POINTS])
        return points
