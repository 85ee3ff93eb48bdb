"""An edge node of Sparkplug: which messages it says, in which order, with which numbers.

Not a connection: `Edge` gives (topic, payload, QoS, retain) to whoever has one. The relay is the
node, each unit a device. Rules kept (Sparkplug 3.0): NBIRTH first, with the bdSeq of the will; seq
from 0 to 255 over all of the node's messages, NBIRTH has 0; a device's data only after its DBIRTH;
aliases unique in the node; metrics of one message in the order of time; what is late is historical;
on a rebirth command all births anew. bdSeq counts connections, modulo 256.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from deploy.relay import sparkplug_payload
from deploy.relay.row_format import Rows
from deploy.relay.sparkplug_payload import BD_SEQ, REBIRTH, Metric

Message = tuple[str, bytes, int, bool]
"""Topic, payload, QoS, retain."""
_NAMESPACE = "spBv1.0"
_MOST_METRICS = 4000
"""Metrics in one DDATA: about 100 kB."""


@dataclass(slots=True)
class _Device:
    names: tuple[str, ...]
    first_alias: int
    born: bool
    last: dict[int, tuple[float | None, int]]
    newest_ms: int = 0


class Edge:
    """The node `node` in `group`; `clock_ms` gives UTC."""

    def __init__(self, group: str, node: str, bd_seq: int, clock_ms: Callable[[], int]) -> None:
        self.group = group
        self.node = node
        self.bd_seq = bd_seq % 256
        self._clock = clock_ms
        self._seq = 0
        self._devices: dict[str, _Device] = {}
        self._aliases = 0

    def _topic(self, kind: str, device: str = "") -> str:
        tail = f"/{device}" if device else ""
        return f"{_NAMESPACE}/{self.group}/{kind}/{self.node}{tail}"

    def command_topic(self) -> str:
        """Where commands for this node are said."""
        return self._topic("NCMD")

    def will(self) -> Message:
        """Give the will of the next connection: NDEATH."""
        now = self._clock()
        metric = Metric(self.bd_seq, sparkplug_payload.INT64, now, BD_SEQ)
        return self._topic("NDEATH"), sparkplug_payload.payload([metric], now, None), 1, False

    def _numbered(self) -> int:
        seq, self._seq = self._seq, (self._seq + 1) % 256
        return seq

    def births(self) -> list[Message]:
        """Give NBIRTH and every device's DBIRTH: after connecting, and on a rebirth command."""
        now = self._clock()
        self._seq = 0
        metrics = [
            Metric(self.bd_seq, sparkplug_payload.INT64, now, BD_SEQ),
            Metric(False, sparkplug_payload.BOOLEAN, now, REBIRTH),
        ]
        birth = sparkplug_payload.payload(metrics, now, self._numbered())
        out: list[Message] = [(self._topic("NBIRTH"), birth, 0, False)]
        out.extend(self._birth(name) for name, device in self._devices.items() if device.born)
        return out

    def _birth(self, name: str) -> Message:
        device, now = self._devices[name], self._clock()
        metrics = []
        for at, metric in enumerate(device.names):
            value, when = device.last.get(at, (None, now))
            alias = device.first_alias + at
            metrics.append(Metric(value, sparkplug_payload.DOUBLE, when, metric, alias))
        return (
            self._topic("DBIRTH", name),
            sparkplug_payload.payload(metrics, now, self._numbered()),
            0,
            False,
        )

    def data(self, rows: Rows) -> list[Message]:
        """Give the messages for a block of rows: a birth, if the device has none like it."""
        name = rows.unit.replace("/", ".")
        device = self._devices.get(name)
        out: list[Message] = []
        if device is None or not set(rows.names) <= set(device.names):
            known = device.names if device is not None else ()
            names = (*known, *(n for n in rows.names if n not in known))
            device = _Device(names, self._aliases, True, device.last if device else {})
            device.newest_ms = 0
            self._aliases += len(names)
            self._devices[name] = device
            out.append(self._birth(name))
        elif not device.born:
            device.born = True
            out.append(self._birth(name))
        metrics = self._metrics(rows, device)
        for at in range(0, len(metrics), _MOST_METRICS):
            part = sparkplug_payload.payload(
                metrics[at : at + _MOST_METRICS], self._clock(), self._numbered()
            )
            out.append((self._topic("DDATA", name), part, 0, False))
        return out

    def _metrics(self, rows: Rows, device: _Device) -> list[Metric]:
        """Give what changed, row by row; only the newest row of all is not historical."""
        metrics = []
        place = {name: at for at, name in enumerate(device.names)}
        columns = [place[name] for name in rows.names]
        held: dict[int, float | None] = {}
        newest = max((at for at, _ in rows.values), default=0)
        current = newest > device.newest_ms
        for at, values in sorted(rows.values, key=lambda entry: entry[0]):
            fresh = current and at == newest
            for column, value in zip(columns, values, strict=True):
                if not fresh and column in held and held[column] == value:
                    continue
                held[column] = value
                if fresh:
                    device.last[column] = (value, at)
                alias = device.first_alias + column
                metrics.append(
                    Metric(value, sparkplug_payload.DOUBLE, at, alias=alias, historical=not fresh)
                )
        device.newest_ms = max(device.newest_ms, newest)
        return metrics

    def death(self, unit: str) -> list[Message]:
        """Give the DDEATH of a unit whose connection is gone."""
        name = unit.replace("/", ".")
        device = self._devices.get(name)
        if device is None or not device.born:
            return []
        device.born = False
        payload = sparkplug_payload.payload([], self._clock(), self._numbered())
        return [(self._topic("DDEATH", name), payload, 0, False)]


class Host:
    """What is known of the primary host: data wait until it is online, and while it is not."""

    def __init__(self, host: str) -> None:
        self.topic = f"{_NAMESPACE}/STATE/{host}"
        self.online = not host
        self._newest = -1

    def heard(self, data: bytes) -> bool:
        """Take a STATE message; tell whether `online` changed. Older ones are void."""
        try:
            said = json.loads(data)
            online, at = said["online"], int(said["timestamp"])
        except (ValueError, TypeError, KeyError):
            return False
        if not isinstance(online, bool) or at < self._newest:
            return False
        self._newest = at
        changed, self.online = online != self.online, online
        return changed
