# SPDX-License-Identifier: Apache-2.0
"""Sparkplug edge node: the messages, their order and their numbers.

Does not connect to a broker; `SparkplugEdge` returns (topic, payload, QoS, retain). The relay is
the node, each unit is a device. Rules of Sparkplug 3.0:

- NBIRTH is the first message; it has the bdSeq of the will and seq 0.
- seq counts all messages of the node, modulo 256; bdSeq counts connections, modulo 256.
- Data of a device follow its DBIRTH. An alias is unique in the node.
- The metrics of a message are in the order of time; late values are historical.
- After a rebirth command the node sends all birth messages again.
- A device has a metric for signed messages to its unit, and one for the answers.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass

from deploy.relay.decode.row_format import Note, Rows
from deploy.relay.limits import NewNameCounter
from deploy.relay.outputs.alarm_order import UnitAlarms
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
_NAMESPACE = "spBv1.0"
_MAX_METRICS = 1500
"""Metrics in one DDATA: at most 50 kB; the broker that is shipped drops what is above 64 KiB."""
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


class SparkplugEdge:
    """The node `node` in `group`; `clock_ms` returns UTC."""

    def __init__(self, group: str, node: str, bd_seq: int, clock_ms: Callable[[], int]) -> None:
        self.group = group
        self.node = node
        self.bd_seq = bd_seq % 256
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
        return f"{_NAMESPACE}/{self.group}/{kind}/{self.node}{tail}"

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

    def _take_seq(self) -> int:
        seq, self._seq = self._seq, (self._seq + 1) % 256
        return seq

    def birth_messages(self) -> list[SparkplugMessage]:
        """Return NBIRTH and the DBIRTH of each device."""
        now = self._clock()
        self._seq = 0
        metrics = [
            Metric(self.bd_seq, sparkplug_payload.INT64, now, BD_SEQ),
            Metric(False, sparkplug_payload.BOOLEAN, now, REBIRTH),
        ]
        birth = sparkplug_payload.encode_payload(metrics, now, self._take_seq())
        messages: list[SparkplugMessage] = [(self._topic("NBIRTH"), birth, 0, False)]
        messages.extend(
            self._device_birth(name) for name, device in self._devices.items() if device.is_born
        )
        return messages

    def _device_birth(self, name: str) -> SparkplugMessage:
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
        return (
            self._topic("DBIRTH", name),
            sparkplug_payload.encode_payload(metrics, now, self._take_seq()),
            0,
            False,
        )

    def data_messages(self, rows: Rows) -> list[SparkplugMessage]:
        """Return the messages of a block: DDATA, after a DBIRTH if the device needs one."""
        name = rows.unit.replace("/", ".")
        messages, device = self._born_device(name, rows.names)
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
            column = device.names.index(_ALARMS + change.code)
            at = change.time_ms or self._clock()
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
        if device is None or not set(names) <= set(device.names):
            active = self._alarms_of(name.replace(".", "/")).active() if device is None else {}
            known = dict.fromkeys([_ALARMS + code for code in active])
            known |= dict.fromkeys(device.names if device is not None else ())
            all_names = tuple(known | dict.fromkeys(names))
            values = device.last_values if device else _raised(active, self._clock())
            if len(all_names) > max(_MOST_NAMES, len(names)):
                all_names, values = names, {}  # the others come back with their next values
            newest_ms = device.newest_ms if device else 0
            device = _EdgeDevice(all_names, self._next_alias, True, values, newest_ms)
            self._next_alias += len(all_names)
            self._devices[name] = device
            return [self._device_birth(name)], device
        if device.is_born:
            return [], device
        device.is_born = True
        return [self._device_birth(name)], device

    def _data(self, name: str, metrics: list[Metric]) -> list[SparkplugMessage]:
        messages: list[SparkplugMessage] = []
        for at in range(0, len(metrics), _MAX_METRICS):
            payload = sparkplug_payload.encode_payload(
                metrics[at : at + _MAX_METRICS], self._clock(), self._take_seq()
            )
            messages.append((self._topic("DDATA", name), payload, 0, False))
        return messages

    def _changed_metrics(self, rows: Rows, device: _EdgeDevice) -> list[Metric]:
        """Return the changed metrics, row by row; only the newest row is not historical."""
        metrics = []
        column_of = {name: at for at, name in enumerate(device.names)}
        columns = [column_of[name] for name in rows.names]
        written: dict[int, float | None] = {}
        newest = max((at for at, _ in rows.values), default=0)
        current = newest > device.newest_ms
        for at, values in sorted(rows.values, key=lambda entry: entry[0]):
            is_newest = current and at == newest
            for column, value in zip(columns, values, strict=True):
                if not is_newest and column in written and written[column] == value:
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
        payload = sparkplug_payload.encode_payload([], self._clock(), self._take_seq())
        return [(self._topic("DDEATH", name), payload, 0, False)]


def _raised(active: Collection[str], now: int) -> dict[int, tuple[float | None, int]]:
    """Return the values of the first metrics of a device: its active alarms."""
    return dict.fromkeys(range(len(active)), (True, now))


class SparkplugHost:
    """State of the primary host. While the host is offline, data stay in the outbox."""

    def __init__(self, host: str) -> None:
        self.topic = f"{_NAMESPACE}/STATE/{host}"
        self.online = not host
        self._newest_ms = -1

    def on_state(self, data: bytes) -> bool:
        """Handle a STATE message; return whether `online` changed. Ignores older messages."""
        try:
            state = json.loads(data)
            online, time_ms = state["online"], int(state["timestamp"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return False
        if not isinstance(online, bool) or time_ms < self._newest_ms:
            return False
        self._newest_ms = time_ms
        changed, self.online = online != self.online, online
        return changed
