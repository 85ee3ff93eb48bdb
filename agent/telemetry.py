"""Telemetry rows: what was read, and when, as scaled integers, in a bounded queue until sent.

Not the carrier (that is `agent.uplink`), and not yet a log that survives a power cut: the rows
wait in memory, and the oldest go first when the queue is full (counted, and seen by the gap in
`seq`).

A row is JSON: `{"seq", "t", "clock", "state", "v": {"device.Point": raw, …}}`. `t` is UTC in
microseconds, or null while it is not known. A value is the register's integer (its scale and unit
stand in the retained `state` message), or null when it is not good.
"""

from agent.jsontext import Object, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.fieldbus import Fieldbus


class Telemetry:
    """Rows of all points of all devices, queued up to `limit`."""

    def __init__(self, fieldbus: "Fieldbus", limit: int) -> None:
        self.seq = 0
        self.dropped = 0
        self.queue: list[bytes] = []
        self._limit = limit
        self._stations = fieldbus.stations
        self._keys = [
            [quote(s.name + "." + p.name) + ":" for p in s.profile.points]
            for s in fieldbus.stations
        ]

    def row(self, now: int, utc: "int | None", clock: str, state: str, stale_us: int) -> None:
        """Queue one row of what is known at `now`."""
        self.seq += 1
        parts = []
        oldest = now - stale_us
        for keys, station in zip(self._keys, self._stations):
            for key, reading in zip(keys, station.device.readings):
                if reading.quality == "good" and reading.at >= oldest:
                    parts.append(key + str(reading.raw))
                else:
                    parts.append(key + "null")
        head = '{"seq":%d,"t":%s,"clock":"%s","state":"%s","v":{' % (
            self.seq,
            "null" if utc is None else str(utc),
            clock,
            state,
        )
        if len(self.queue) >= self._limit:
            self.queue.pop(0)
            self.dropped += 1
        self.queue.append((head + ",".join(parts) + "}}").encode())

    def describe(self) -> Object:
        """Describe every point of a row: {"device.Point": [unit, numerator, denominator]}."""
        pairs: list[tuple[str, object]] = []
        for station in self._stations:
            pairs.extend(
                [
                    (station.name + "." + point.name, [point.unit, point.num, point.den])
                    for point in station.profile.points
                ]
            )
        return Object(pairs)
