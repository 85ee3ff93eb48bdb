# SPDX-License-Identifier: Apache-2.0
"""One rule for late, doubled and future alarms: the rule, then each output that has alarms."""

import json
import random
from pathlib import Path

import pytest

from deploy.relay.decode.alarm_order import UnitAlarms
from deploy.relay.decode.row_format import Item, Note
from deploy.relay.outputs.alarm_output import AlarmOutput
from deploy.relay.outputs.base import OutputContext
from deploy.relay.outputs.fleet_store import FleetStoreOutput
from deploy.relay.outputs.metrics_output import MetricsOutput
from deploy.relay.records.database import RelayDatabase
from deploy.relay.sparkplug.edge import SparkplugEdge
from deploy.relay.sparkplug.output import SparkplugOutput
from protocols.telemetry.message import ALARM

_UNIT = "s1/u1"
_START_MS = 1_760_000_000_000


def log(ident: int, change: str, second: float | None = None, code: str = "leak") -> Note:
    content: dict[str, object] = {"alarm": change, "code": code}
    time_ms = 0 if second is None else _START_MS + round(1000 * second)
    return Note(_UNIT, 4 * ident + ALARM, content, "010203", time_ms)


def start(ident: int, second: float | None = None) -> Note:
    time_ms = 0 if second is None else _START_MS + round(1000 * second)
    return Note(_UNIT, 4 * ident + ALARM, {"event": "start"}, "010203", time_ms)


def datagram(number: int, change: str, second: float | None = None, code: str = "leak") -> Note:
    content = {"alarm": change, "code": code, "datagram": number}
    time_ms = 0 if second is None else _START_MS + round(1000 * second)
    return Note(_UNIT, 0, content, "", time_ms)


_LATE = [log(1, "raised", 100), log(2, "cleared", 110)]
_BOTH_WAYS = [datagram(1, "raised", 101), datagram(2, "cleared", 111), *_LATE]
CASES: dict[str, tuple[list[Note], list[str]]] = {
    "a record of the log that is late": ([_LATE[1], _LATE[0]], []),
    "a record that comes twice": ([*_LATE, *_LATE, log(3, "raised", 120), _LATE[1]], ["leak"]),
    "a record of another log counts": (
        [_LATE[1], Note("s1/u1", 4, _LATE[0].content, "09")],
        ["leak"],
    ),
    "a late datagram": ([datagram(2, "cleared", 100), datagram(1, "raised", 90)], []),
    "in one second the number counts": (
        [datagram(2, "raised", 100), datagram(1, "cleared", 100)],
        ["leak"],
    ),
    "numbers begin again": ([datagram(2**24 - 1, "cleared"), datagram(0, "raised")], ["leak"]),
    "a late datagram after the log": ([*_LATE, datagram(1, "raised", 100)], []),
    "a datagram some seconds after the log": ([*_LATE, datagram(1, "raised", 102)], []),
    "the log after both datagrams": (_BOTH_WAYS, []),
    "the log between the datagrams": ([_BOTH_WAYS[i] for i in (0, 1, 2)], []),
    "the log again after both": ([*_BOTH_WAYS, *_BOTH_WAYS], []),
    "a change after both ways": ([*_BOTH_WAYS, log(3, "raised", 300)], ["leak"]),
    "a datagram hides no record": (
        [log(5, "cleared", 100), datagram(9, "raised", 300), log(4, "cleared", 90)],
        ["leak"],
    ),
    "a clock that was set back hides no record": (
        [datagram(1, "cleared", 5000), log(7, "raised", 10)],
        ["leak"],
    ),
    "a start ends what was before": ([log(1, "raised"), start(2)], []),
    "a late start ends nothing that is newer": (
        [log(1, "raised", 10, "old"), log(3, "raised", 30), start(2, 20)],
        ["leak"],
    ),
    "a late start and a datagram after it": (
        [datagram(1, "raised", 10, "old"), datagram(2, "raised", 20), start(2, 20.5)],
        ["leak"],
    ),
    "a datagram in the second of the start": (
        [start(1, 20.5), datagram(1, "raised", 20)],
        ["leak"],
    ),
    "a datagram before the start": ([start(1, 20.5), datagram(1, "raised", 19)], []),
    "a record before the start": ([start(3), log(2, "raised")], []),
    "a start before a start": ([start(3), log(4, "raised"), start(2)], ["leak"]),
    "without a time the order of arrival counts": (
        [datagram(1, "raised"), log(1, "cleared"), datagram(2, "raised")],
        ["leak"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_rule(name: str) -> None:
    notes, expected = CASES[name]
    unit = UnitAlarms()
    for note in notes:
        unit.follow(note)
        unit = UnitAlarms.load(json.loads(json.dumps(unit.dump())))
    assert list(unit.active()) == expected


@pytest.mark.parametrize("seed", range(30))
def test_any_order_of_one_log_ends_the_same(seed: int) -> None:
    chance = random.Random(seed)
    history: list[Note] = []
    for ident in range(1, 40):
        if chance.random() < 0.1:
            history.append(start(ident, 10 * ident))
        else:
            change = chance.choice(["raised", "cleared"])
            history.append(log(ident, change, 10 * ident, chance.choice("abc")))
    expected = UnitAlarms()
    for note in history:
        expected.follow(note)
    found = UnitAlarms()
    shuffled = history + chance.sample(history, 20)
    chance.shuffle(shuffled)
    for note in shuffled:
        found.follow(note)
    assert sorted(found.active()) == sorted(expected.active())


def test_an_uptime_that_goes_back_is_a_start() -> None:
    def record(ident: int, uptime_ms: int, code: str) -> Note:
        content = {"alarm": "raised", "code": code, "m": uptime_ms}
        return Note(_UNIT, 4 * ident, content, "01")

    unit = UnitAlarms()
    for note in (record(1, 5000, "a"), record(3, 7000, "b"), record(2, 6000, "c")):
        unit.follow(note)
    assert sorted(unit.active()) == ["a", "b", "c"], "a late record has an earlier uptime"
    unit.follow(record(4, 20, "d"))
    assert list(unit.active()) == ["d"]


class _Broker:
    """Takes all messages."""

    def is_connected(self) -> bool:
        return True

    def publish(self, *_: object) -> None:
        """Take a message."""

    def flush(self, needs_subscriber: bool = False) -> None:
        """Acknowledge it."""

    def most_bytes(self) -> int:
        return 1 << 28

    def leave(self) -> None:
        """Keep the connection."""


class _Bench:
    """The outputs that have active alarms, on one database; `restart` makes them again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._database = RelayDatabase(folder / "relay.db", "r1")
        self.restart()

    def _context(self, argument: str) -> OutputContext:
        return OutputContext(
            *(argument, "r1", "", _Broker(), lambda: 1, lambda: _START_MS + 10**7, dict),  # type: ignore[arg-type]
            self._database,
        )

    def restart(self) -> None:
        self.fleet = FleetStoreOutput(self._context(str(self._folder / "fleet.db")))
        self.metrics = MetricsOutput(self._context(""))
        self.alarms = AlarmOutput(self._context("fleet"))
        self.sparkplug = SparkplugOutput(self._context("g"))
        self.sparkplug.on_connected()
        self.sparkplug.process()

    def deliver(self, items: list[Item]) -> None:
        for output in (self.fleet, self.metrics, self.alarms, self.sparkplug):
            output.deliver(items)

    def active(self) -> dict[str, list[str]]:
        fleet = self.fleet._db.execute("SELECT code FROM alarm ORDER BY code").fetchall()
        edge: SparkplugEdge = self.sparkplug._edge
        raised = [
            name.removeprefix("Alarms/")
            for device in edge._devices.values()
            for at, name in enumerate(device.names)
            if device.last_values[at][0]
        ]
        return {
            "fleet": [code for (code,) in fleet],
            "metrics": sorted(self.metrics._unit(_UNIT).alarms.active()),
            "alarms": sorted(c for c, a in self._tracked().items() if a),
            "sparkplug": sorted(raised),
        }

    def _tracked(self) -> dict[str, bool]:
        tracked = self.alarms._filter_of(_UNIT)._alarms
        return {code: alarm.is_active for code, alarm in tracked.items()}

    def close(self) -> None:
        self.fleet.close()
        self._database.close()


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_each_output_follows_the_rule(tmp_path: Path, name: str, restarts: bool) -> None:
    notes, expected = CASES[name]
    bench = _Bench(tmp_path)
    try:
        for note in notes:
            bench.deliver([note])
            bench.deliver([note])  # it was killed before its position was stored
            if restarts:
                bench.fleet.close()
                bench.restart()
        found = bench.active()
        if restarts:
            # a device of Sparkplug has its births again with its first value
            again = bench.sparkplug._edge.alarms[_UNIT].active()
            found["sparkplug"] = sorted(again)
        assert found == dict.fromkeys(found, expected)
    finally:
        bench.close()


def test_a_device_is_born_with_its_active_alarms(tmp_path: Path) -> None:
    bench = _Bench(tmp_path)
    bench.deliver([log(1, "raised", 1, "a"), log(2, "raised", 2, "b"), log(3, "cleared", 3, "a")])
    bench.fleet.close()
    bench.restart()
    bench.deliver([log(4, "raised", 4, "c")])
    (device,) = bench.sparkplug._edge._devices.values()
    assert {name: device.last_values[at][0] for at, name in enumerate(device.names)} == {
        "Alarms/b": True,
        "Alarms/c": True,
    }
    bench.close()


def test_states_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    before = _Bench(tmp_path)
    before.deliver([log(1, "raised")])
    before.fleet._db.execute("DROP TABLE alarm_state")
    before.close()
    database = RelayDatabase(tmp_path / "relay.db", "r1")
    database.store_state(f"metrics/{_UNIT}", json.dumps({"leak": 5}))
    state = json.loads(database.load_state("alarms/")[f"alarms/{_UNIT}"])
    del state["alarms"]
    database.store_state(f"alarms/{_UNIT}", json.dumps({**state, "monotonic_ms": 7}))
    database.close()
    bench = _Bench(tmp_path)
    expected = {"fleet": ["leak"], "metrics": ["leak"], "alarms": ["leak"], "sparkplug": []}
    assert bench.active() == expected
    bench.deliver([log(2, "cleared")])
    assert bench.active() == {name: [] for name in expected}
    bench.close()
