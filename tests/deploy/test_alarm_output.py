# SPDX-License-Identifier: Apache-2.0
"""Alarm output of the relay: which notes become messages to a person."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.alarms.alarm_filter import ROOT_END_MS, SETTLE_MS
from agent.alarms.shelving import Shelving
from deploy.relay import command
from deploy.relay.decode.row_format import Note
from deploy.relay.outputs.alarm_output import AlarmOutput
from deploy.relay.outputs.base import OutputContext, OutputError
from deploy.relay.outputs.http_client import RefusedError
from deploy.relay.outputs.text_outputs import JsonOutput
from deploy.relay.records.database import RelayDatabase

UNIT = "s1/u1"


class PublishedMessages:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.flushed = 0
        self.connected = True
        self.refused: dict[str, Exception] = {}
        """Errors of `flush` by a part of the topic or the message."""

    def is_connected(self) -> bool:
        return self.connected

    def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, wait_s: float = 0.0
    ) -> None:
        assert (qos, retain) == (1, False)
        self.flushed = min(self.flushed, len(self.sent))
        self.sent.append((topic, json.loads(payload)))

    def flush(self, needs_subscriber: bool = False) -> None:
        """The broker acknowledges immediately, or refuses a message."""
        taken, errors = [], []
        for topic, content in self.sent[self.flushed :]:
            text = f"{topic} {json.dumps(content)}"
            found = [error for part, error in self.refused.items() if part in text]
            errors += found
            taken += [] if found else [(topic, content)]
        self.sent[self.flushed :] = taken
        self.flushed = len(self.sent)
        if errors:
            raise errors[0]

    def most_bytes(self) -> int:
        return 1 << 28

    def leave(self) -> None:
        """The connection stays."""


class Bench:
    """An output on a database, with a clock that a test sets."""

    def __init__(self, folder: Path) -> None:
        self.broker, self.now, self.folder = PublishedMessages(), 1_000_000, folder
        self.number = 0
        self.database = RelayDatabase(folder / "relay.db", "r1")
        self.shelved_file = folder / "shelved.json"
        self.restart()

    def restart(self) -> None:
        self.output = AlarmOutput(self.context())

    def context(self) -> OutputContext:
        return OutputContext(
            *("fleet", "r1", "", self.broker, lambda: 0, lambda: self.now, dict),
            *(self.database, self.shelved_file),
        )

    def note(self, change: str, code: str, monotonic: int = 5) -> None:
        note = {"t": None, "m": monotonic, "alarm": change, "code": code, "text": "t"}
        self.number += 4
        self.output.note(Note(UNIT, self.number, note))

    def after(self, ms: int) -> list[str]:
        self.now += ms
        self.output.process()
        sent, self.broker.sent = self.broker.sent, []
        assert all(topic == f"fleet/{UNIT}/alarms" for topic, _ in sent)
        return [f"{content['event']} {content['code']}" for _, content in sent]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path)
    yield found
    found.database.close()


def test_a_message_has_the_texts_of_the_catalogue(bench: Bench) -> None:
    bench.note("raised", "leak_critical:l1")
    bench.output.process()
    ((topic, content),) = bench.broker.sent
    assert topic == "fleet/s1/u1/alarms"
    assert content["number"] == 102
    assert content["priority"] == 1
    assert content["respond_s"] == 300
    assert content["do"].startswith("Find and repair the leak")
    assert content["first_out"] is True


def test_children_are_counted_over_a_restart_of_the_relay(bench: Bench) -> None:
    bench.note("raised", "device_lost:rpu")
    bench.output.flush()
    bench.restart()
    bench.note("raised", "bus_lost:bus1")
    bench.output.process()
    assert bench.broker.sent[0][1]["children"] == ["device_lost:rpu"]
    bench.broker.sent.clear()
    bench.restart()
    assert bench.after(SETTLE_MS) == [], "reported once"
    bench.note("cleared", "bus_lost:bus1")
    assert bench.after(1000) == ["cleared bus_lost:bus1"]
    assert bench.after(ROOT_END_MS - 2000) == [], "an effect can end some seconds after its root"
    bench.restart()
    assert bench.after(2000) == ["raised device_lost:rpu"]


def test_effects_wait_after_a_root_that_ended_while_the_relay_was_off(bench: Bench) -> None:
    """The first thing after the start is the end of the root: no poll has seen both."""
    bench.note("raised", "bus_lost:bus1")
    bench.note("raised", "device_lost:rpu")
    assert bench.after(0) == ["raised bus_lost:bus1"]
    bench.now += 60 * SETTLE_MS
    bench.restart()
    bench.note("cleared", "bus_lost:bus1")
    assert bench.after(0) == ["cleared bus_lost:bus1"]
    assert bench.after(ROOT_END_MS - 1000) == [], "an effect can end some seconds after its root"
    assert bench.after(1001) == ["raised device_lost:rpu"]


def test_the_end_of_a_root_without_a_message_is_stored(bench: Bench) -> None:
    bench.note("raised", "bus_lost:bus1")
    bench.note("raised", "device_lost:rpu")
    assert bench.after(0) == ["raised bus_lost:bus1"]
    bench.output._filter_of(UNIT)._alarms[
        "bus_lost:bus1"
    ].named = False  # as one held back in a flood
    bench.after(60 * SETTLE_MS)
    bench.note("cleared", "bus_lost:bus1")
    assert bench.after(1000) == []
    bench.restart()
    assert bench.after(ROOT_END_MS - 1000) == []
    assert bench.after(1001) == ["raised device_lost:rpu"]


def test_nothing_is_lost_without_a_broker(bench: Bench) -> None:
    bench.broker.connected = False
    bench.note("raised", "leak_critical:l1")
    assert bench.after(0) == []
    bench.broker.connected = True
    assert bench.after(10) == ["raised leak_critical:l1"]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_notice_that_the_broker_refuses_stays_due(
    bench: Bench, restarts: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.broker.refused["leak_critical"] = OutputError("quota exceeded")
    bench.note("raised", "leak_critical:l1")
    for _ in range(60):
        assert bench.after(1000) == []
        assert bench.output.problem == "quota exceeded"
    bench.note("raised", "emergency_stop:s1")  # another change saves the state
    bench.note("cleared", "leak_critical:l1")
    assert bench.after(1000) == []
    if restarts:
        bench.restart()
    bench.broker.refused.clear()
    expected = ["raised leak_critical:l1", "cleared leak_critical:l1", "raised emergency_stop:s1"]
    assert [*bench.after(1001), *bench.after(ROOT_END_MS)] == expected
    assert bench.output.problem == ""
    bench.restart()
    assert bench.after(ROOT_END_MS) == [], "reported once"
    lines = ["output alarms: quota exceeded", "output alarms: works again"]
    assert capsys.readouterr().err.splitlines() == lines[: 1 if restarts else 2]


def test_units_whose_messages_are_refused_stop_no_other(bench: Bench) -> None:
    note = {"alarm": "raised", "code": "leak_critical:l1", "text": "t"}
    bench.broker.refused["fleet/denied/"] = OutputError("not authorized")
    bench.output.deliver([Note(f"denied/u{number}", 4, note) for number in range(50)])
    bench.output.deliver([Note(UNIT, 4, note)])
    assert any(bench.after(1000) for _ in range(5))
    assert bench.output.problem == "not authorized"


def test_a_notice_that_the_broker_can_never_take_goes_out_without_texts(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.broker.refused["Find and repair"] = RefusedError("packet too large")
    bench.broker.refused["smoke"] = RefusedError("packet too large")
    for code in ("leak_critical:l1", "emergency_stop:s1", "smoke:s1"):
        bench.note("raised", code)
    sent = [*bench.after(1000), *bench.after(SETTLE_MS), *bench.after(ROOT_END_MS)]
    assert sorted(sent) == ["raised emergency_stop:s1", "raised leak_critical:l1"]
    assert "raised smoke:s1 is not sent" in capsys.readouterr().err
    assert bench.output.problem == ""


def test_a_restart_of_the_unit_ends_its_alarms(bench: Bench) -> None:
    bench.note("raised", "leak_critical:l1", 5000)
    assert bench.after(0) == ["raised leak_critical:l1"]
    bench.note("raised", "emergency_stop:s1", 20)
    assert bench.after(0) == ["cleared leak_critical:l1", "raised emergency_stop:s1"]
    kind, page = bench.output.pages()["/alarms"]("")
    assert kind == "application/json"
    assert json.loads(page) == {UNIT: [{"code": "emergency_stop:s1", "priority": 1}]}


def test_a_start_of_the_unit_ends_its_alarms_without_another_alarm(bench: Bench) -> None:
    bench.note("raised", "leak_critical:l1", 5000)
    bench.after(0)
    bench.output.note(Note(UNIT, 8, {"t": None, "m": 9000, "event": "start"}))
    assert bench.after(0) == ["cleared leak_critical:l1"]


def test_a_shelved_alarm_is_not_sent(bench: Bench) -> None:
    Shelving(bench.shelved_file).add(UNIT, "fan_trip:f1", 1, "on order", bench.now / 1000)
    bench.note("raised", "fan_trip:f1")
    assert bench.after(SETTLE_MS) == []
    assert bench.after(3_600_000) == ["raised fan_trip:f1"]


def test_other_notes_have_no_effect(bench: Bench) -> None:
    for content in ({}, {"alarm": "raised"}, {"code": "leak"}):
        bench.output.note(Note(UNIT, 1, content))
    assert bench.after(SETTLE_MS) == []


def test_the_json_output_has_number_and_priority(bench: Bench) -> None:
    output = JsonOutput(bench.context())
    output.deliver(
        [
            Note(UNIT, 4, {"alarm": "raised", "code": "device_lost:rpu", "text": "t"}),
            Note(UNIT, 5, {"event": "x", "code": "device_lost:rpu"}),
        ]
    )
    first, second = (content for _, content in bench.broker.sent)
    assert first["number"] == 302
    assert first["priority"] == 3
    assert "number" not in second


def test_the_json_of_a_datagram_has_an_identity(bench: Bench) -> None:
    contents: list[dict[str, Any]] = [
        {"alarm": "raised", "code": "leak", "datagram": number} for number in (1, 2, 1)
    ]
    JsonOutput(bench.context()).deliver([Note(UNIT, 0, content) for content in contents])
    first, second, again = (content["digest"] for _, content in bench.broker.sent)
    assert first == again != second


def test_the_options() -> None:
    words = ["--broker", "h:1", "--store", "s", "--alarms", "fleet", "--shelved", "shelved.json"]
    options = command.parse_options(words)
    assert options.outputs == {"alarms": "fleet", "fleet": "s.fleet"}
    assert options.shelved == Path("shelved.json")


def test_a_unit_with_a_code_in_each_note_has_limits(bench: Bench) -> None:
    """Its state is stored once for a batch and does not grow; an urgent alarm has room."""
    saves: list[int] = []
    store_state = RelayDatabase.store_state

    def counted(database: RelayDatabase, key: str, text: str) -> None:
        saves.append(len(text))
        store_state(database, key, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RelayDatabase, "store_state", counted)
        for batch in range(3):
            contents = [
                {"alarm": "raised", "code": f"c{batch}-{number}", "text": "x" * 10_000}
                for number in range(300)
            ]
            bench.output.deliver([Note(UNIT, 4, content) for content in contents])
        assert len(saves) == 3
        assert max(saves) < 200_000
        bench.note("raised", "leak_critical:tray")
        assert "raised leak_critical:tray" in bench.after(ROOT_END_MS)
    assert len(bench.output._filter_of(UNIT).active()) == 129
