"""Telemetry rows: what was read, and when, as scaled integers, in a bounded queue until sent.

Not the carrier (that is `agent.telemetry.uplink`), and not yet a log that survives a power cut: the
rows wait in memory, and the oldest go first when the queue is full (counted, and seen by the gap in
`seq`).

A row is JSON: `{"seq", "t", "clock", "state", "v": [raw, …]}`. `t` is UTC in microseconds, or null
while it is not known. The values stand in the order of the points in the retained `state` message,
which names each with its unit and its scale; a value is the register's integer, or null when it is
not good. Names in every row would cost a satellite link five times the bytes.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.component import Component
    from agent.fieldbus.fieldbus import Fieldbus


class Telemetry:
    """Rows of all points of all devices, queued up to `limit`."""

    def __init__(self, fieldbus: "Fieldbus", limit: int) -> None:
        self.seq = 0
        self.dropped = 0
        self._queues_rows = True
        self.queue: list[bytes] = []
        self._limit = limit
        self._sessions = fieldbus.sessions
        self._components: list[Component] = []
        self._readings = [r for s in fieldbus.sessions for r in s.device.readings]

    def stop_queue(self) -> None:
        """Queue no rows from now on: a log takes them (`agent.log`)."""
        self._queues_rows = False

    def add_components(self, components: "list[Component]") -> None:
        """Put the points of `components` behind those of the devices."""
        self._components.extend(components)

    def add_row(self, now: int, utc: "int | None", clock: str, state: str, stale_us: int) -> None:
        """Queue one row of what is known at `now`."""
        if not self._queues_rows:
            return
        self.seq += 1
        oldest = now - stale_us
        values = [
            str(r.raw) if r.quality == "good" and r.read_at >= oldest else "null"
            for r in self._readings
        ]
        for component in self._components:
            values.extend(["null" if v is None else str(v) for v in component.values(now)])
        text = '{"seq":%d,"t":%s,"clock":"%s","state":"%s","v":[%s]}' % (
            self.seq,
            "null" if utc is None else str(utc),
            clock,
            state,
            ",".join(values),
        )
        if len(self.queue) >= self._limit:
            self.queue.pop(0)
            self.dropped += 1
        self.queue.append(text.encode())

    def describe(self) -> "list[object]":
        """Describe a row's values in order: [device.Point, unit, numerator, denominator].

        The value is raw * numerator / denominator, in the unit (UCUM).
        """
        points: list[object] = [
            [session.name + "." + point.name, point.unit, point.num, point.den]
            for session in self._sessions
            for point in session.profile.points
        ]
        for component in self._components:
            points.extend([list(point) for point in component.POINTS])
        return points
