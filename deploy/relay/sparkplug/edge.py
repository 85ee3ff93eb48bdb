# SPDX-License-Identifier: Apache-2.0
"""Sparkplug edge node: the messages, their order and their numbers.

Does not connect to a broker; `SparkplugEdge` returns (topic, payload, QoS, retain). The relay is
the node, each unit is a device. Rules of Sparkplug 3.0:

- NBIRTH is the first message; it has the bdSeq of the will and seq 0.
- seq counts all messages of the node, modulo 256; bdSeq counts connections, modulo 256.
- A message above the limit of the broker is not made and takes no seq: the broker would drop it
  without a word, and a host would ask for all births again, for ever.
- Data of a device follow its DBIRTH. An alias is unique in the node.
- The metrics of a message are in the order of time; late values are historical.
- After a rebirth command the node sends all birth messages again.
- A device has a metric for signed messages to its unit, and one for the answers.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from deploy.relay.decode.alarm_order import UnitAlarms
from deploy.relay.decode.row_format import Note, Rows
from deploy.relay.limits import NewNameCounter
from deploy.relay.sparkplug import payload as sparkplug_payload
from deploy.relay.sparkplug.payload import (
    BD_SEQ,
    COMMAND_ANSWER,
    REBIRTH,
    SIGNED_COMMAND,
    Metric,
)

SparkplugMessage = tuple[str, bytes, int, bool]
"""Topic, payload, QoS, retain."""
NAMESPACE = "spBv1.0"
MOST_BYTES = 60_000
"""Of a message; the broker that is shipped drops what is above 64 KiB."""
_HEAD_BYTES = 20
"""Of a packet besides topic and payload, at most."""
_METRIC_BYTES = 32
"""Of a metric besides its name, at most, with an alias and a number."""
_OTHER_BIRTH_BYTES = 4600
"""Of a DBIRTH besides these metrics: the topic, and those of the commands with the answer."""
_ALARMS = "Alarms/"
_MOST_NAMES = 2000
"""Metrics of a device, of all schemas and alarms that it has had; beyond that only the new ones."""
_MOST_NEW_ALARMS = 64
_MOST_ANSWERS = 20_000
_NEW_ALARMS_MS = 60_000
"""Alarms of a device that are new in this time; further ones are no metric."""


@dataclass(slots=True)
class _EdgeDevice:
    names: tuple[str, ...]
    first_alias: int
    is_born: bool
    last_values: dict[int, tuple[float | None, int]]
    newest_ms: int = 0
    left_out: frozenset[str] = frozenset()
    """Names of its rows that have no place in a DBIRTH."""

    def knows(self, names: Iterable[str]) -> bool:
        """Return whether these metrics need no other DBIRTH."""
        return set(names) <= self.left_out.union(self.names)


class SparkplugEdge:
    """The node `node` in `group`; `clock_ms` returns UTC."""

    def __init__(self, group: str, node: str, bd_seq: int, clock_ms: Callable[[], int]) -> None:
        self.group = group
        self.node = node
        self.bd_seq = bd_seq % 256
        self.most_bytes = MOST_BYTES
        """Largest packet of this connection."""
        self.left_out = 0
        """Values that are in no message, because they have no place."""
        self.small_units: set[str] = set()
        """Units with more metrics than a DBIRTH can have."""
        self._clock = clock_ms
        self._seq = 0
        self._devices: dict[str, _EdgeDevice] = {}
        self._next_alias = 0
        self._new_alarms = NewNameCounter(_NEW_ALARMS_MS)
        self._answers: dict[str, str] = {}
        self.alarms: dict[str, UnitAlarms] = {}
        """Alarms of each unit; who makes this object stores them."""

    def _topic(self, kind: str, device: str = "") -> str:
        tail = f"/{device}" if device else ""
        return f"{NAMESPACE}/{self.group}/{kind}/{self.node}{tail}"

    def command_topic(self) -> str:
        """Return the topic of the commands for this node."""
        return self._topic("NCMD")

    def device_command_topic(self) -> str:
        """Return the topic of the commands for all devices."""
        return self._topic("DCMD", "+")

    def commanded_unit(self, topic: str) -> str:
        """Return the unit of a topic of device commands; "": of another one."""
        head, _, name = topic.rpartition("/")
        if head != self._topic("DCMD") or name not in self._devices:
            return ""
        return name.replace(".", "/")

    def will_message(self) -> SparkplugMessage:
        """Return the will of the next connection: NDEATH."""
        now = self._clock()
        metric = Metric(self.bd_seq, sparkplug_payload.INT64, now, BD_SEQ)
        return (
            self._topic("NDEATH"),
            sparkplug_payload.encode_payload([metric], now, None),
            1,
            False,
        )

    def _message(self, kind: str, device: str, metrics: list[Metric]) -> list[SparkplugMessage]:
        """Return the next message of the node; [] if the broker would drop it."""
        topic = self._topic(kind, device)
        payload = sparkplug_payload.encode_payload(metrics, self._clock(), self._seq)
        if len(topic.encode()) + len(payload) + _HEAD_BYTES > self.most_bytes:
            return []
        self._seq = (self._seq + 1) % 256
        return [(topic, payload, 0, False)]

    def birth_messages(self) -> list[SparkplugMessage]:
        """Return NBIRTH and the DBIRTH of each device."""
        now = self._clock()
        self._seq = 0
        metrics = [
            Metric(self.bd_seq, sparkplug_payload.INT64, now, BD_SEQ),
            Metric(False, sparkplug_payload.BOOLEAN, now, REBIRTH),
        ]
        messages = self._message("NBIRTH", "", metrics)
        for name, device in list(self._devices.items()):
            if device.is_born:
                birth = self._device_birth(name)
                messages += birth
                if not birth:  # the broker takes less than the last one
                    del self._devices[name]
        return messages

    def _device_birth(self, name: str) -> list[SparkplugMessage]:
        device, now = self._devices[name], self._clock()
        metrics = []
        for at, metric in enumerate(device.names):
            value, when = device.last_values.get(at, (None, now))
            alias = device.first_alias + at
            kind = sparkplug_payload.DOUBLE
            if metric.startswith(_ALARMS):
                kind = sparkplug_payload.BOOLEAN
            metrics.append(Metric(value, kind, when, metric, alias))
        metrics.append(Metric(None, sparkplug_payload.BYTES, now, SIGNED_COMMAND))
        metrics.append(self._answer_metric(name))
        return self._message("DBIRTH", name, metrics)

    def data_messages(self, rows: Rows) -> list[SparkplugMessage]:
        """Return the messages of a block: DDATA, after a DBIRTH if the device needs one."""
        name = rows.unit.replace("/", ".")
        messages, device = self._born_device(name, rows.names)
        if device.left_out:
            self.left_out += len(device.left_out.intersection(rows.names)) * len(rows.values)
        return messages + self._data(name, self._changed_metrics(rows, device))

    def alarm_messages(self, note: Note) -> list[SparkplugMessage]:
        """Return the messages of a change of an alarm: metric `Alarms/CODE`, true while raised."""
        name = note.unit.replace("/", ".")
        followed = self._alarms_of(note.unit).follow(note)
        changes = [change for change in followed.changes if self._has_room(name, change.code)]
        if not changes:
            return []
        messages, device = self._born_device(name, tuple(_ALARMS + one.code for one in changes))
        metrics = []
        for change in changes:
            metric = _ALARMS + change.code
            if metric not in device.names:
                self.left_out += 1
                continue
            column = device.names.index(metric)
            # The number of a record decides, also if the clock of the unit was set back. The time
            # of a live value never goes back.
            last = device.last_values.get(column, (None, 0))[1]
            at = max(change.time_ms or self._clock(), last)
            device.last_values[column] = (change.is_raised, at)
            alias = device.first_alias + column
            metrics.append(Metric(change.is_raised, sparkplug_payload.BOOLEAN, at, alias=alias))
        return messages + self._data(name, metrics)

    def _alarms_of(self, unit: str) -> UnitAlarms:
        return self.alarms.setdefault(unit, UnitAlarms())

    def answer_messages(self, unit: str, text: str) -> list[SparkplugMessage]:
        """Return the message of a new answer of a unit."""
        name = unit.replace("/", ".")
        is_full = name not in self._answers and len(self._answers) >= _MOST_ANSWERS
        if self._answers.get(name) == text or is_full:
            return []
        self._answers[name] = text
        device = self._devices.get(name)
        is_born = device is not None and device.is_born
        return self._data(name, [self._answer_metric(name)]) if is_born else []

    def _answer_metric(self, name: str) -> Metric:
        answer = self._answers.get(name)
        return Metric(answer, sparkplug_payload.STRING, self._clock(), COMMAND_ANSWER)

    def _has_room(self, name: str, code: str) -> bool:
        """Return whether a device can have this alarm: each new one needs a DBIRTH with all."""
        device, metric = self._devices.get(name), _ALARMS + code
        if device is not None and metric in device.names:
            return True
        now = self._clock()
        if self._new_alarms.count(name, now) >= _MOST_NEW_ALARMS:
            return False
        self._new_alarms.add(name, now)
        return True

    def _born_device(
        self, name: str, names: tuple[str, ...]
    ) -> tuple[list[SparkplugMessage], _EdgeDevice]:
        """Return the device, and its DBIRTH if it needs one."""
        device = self._devices.get(name)
        if device is not None and device.knows(names):
            if device.is_born:
                return [], device
        else:
            device = self._devices[name] = self._make_device(name, names, device)
        birth = self._device_birth(name)
        device.is_born = bool(birth)
        return birth, device

    def _make_device(
        self, name: str, names: tuple[str, ...], before: _EdgeDevice | None
    ) -> _EdgeDevice:
        """Return a device with these names, and as many of those before as have a place.

        An active alarm has its place first.
        """
        unit = name.replace(".", "/")
        raised = {_ALARMS + code: at for code, at in self._alarms_of(unit).active().items()}
        values: dict[str, tuple[float | None, int]] = {
            metric: (True, at or self._clock()) for metric, at in raised.items()
        }
        if before is not None:
            values |= {before.names[at]: value for at, value in before.last_values.items()}
        old = before.names if before is not None else ()
        wanted = [metric for metric in raised if before is None or metric in old]
        kept = self._cut(dict.fromkeys([*wanted, *names]), dict.fromkeys(old))
        left_out = frozenset(names).difference(kept)
        if left_out:
            self.small_units.add(unit)
        first, self._next_alias = self._next_alias, self._next_alias + len(kept)
        newest_ms = before.newest_ms if before is not None else 0
        columns = {at: values[metric] for at, metric in enumerate(kept) if metric in values}
        return _EdgeDevice(kept, first, True, columns, newest_ms, left_out)

    def _cut(self, names: Mapping[str, None], old: Mapping[str, None]) -> tuple[str, ...]:
        """Return the names that a DBIRTH has a place for; those of `old` only up to a limit."""
        room = self.most_bytes - _OTHER_BIRTH_BYTES
        kept: list[str] = []
        for metric in {**names, **old}:
            room -= len(metric.encode()) + _METRIC_BYTES
            if room < 0 or (metric not in names and len(kept) >= _MOST_NAMES):
                break
            kept.append(metric)
        return tuple(kept)

    def _data(self, name: str, metrics: list[Metric]) -> list[SparkplugMessage]:
        if not self._devices[name].is_born:
            self.left_out += len(metrics)
            return []
        messages: list[SparkplugMessage] = []
        step = max(1, (self.most_bytes - len(name) - 200) // _METRIC_BYTES)
        for at in range(0, len(metrics), step):
            part = metrics[at : at + step]
            message = self._message("DDATA", name, part)
            self.left_out += 0 if message else len(part)
            messages += message
        return messages

    def _changed_metrics(self, rows: Rows, device: _EdgeDevice) -> list[Metric]:
        """Return the changed metrics, row by row; only the newest row is not historical."""
        metrics = []
        column_of = {name: at for at, name in enumerate(device.names)}
        columns = [column_of.get(name, -1) for name in rows.names]
        written: dict[int, float | None] = {}
        newest = max((at for at, _ in rows.values), default=0)
        current = newest > device.newest_ms
        for at, values in sorted(rows.values, key=lambda entry: entry[0]):
            is_newest = current and at == newest
            for column, value in zip(columns, values, strict=True):
                is_known = column in written and written[column] == value
                if column < 0 or (is_known and not is_newest):
                    continue
                written[column] = value
                if is_newest:
                    device.last_values[column] = (value, at)
                alias = device.first_alias + column
                metrics.append(
                    Metric(
                        value, sparkplug_payload.DOUBLE, at, alias=alias, historical=not is_newest
                    )
                )
        device.newest_ms = max(device.newest_ms, newest)
        return metrics

    def death_messages(self, unit: str) -> list[SparkplugMessage]:
        """Return the DDEATH of a unit that has lost its connection."""
        name = unit.replace("/", ".")
        device = self._devices.get(name)
        if device is None or not device.is_born:
            return []
        device.is_born = False
        return self._message("DDEATH", name, [])
