# SPDX-License-Identifier: Apache-2.0
"""Writes to set-points: rights, limits, keep-alive, results."""

from __future__ import annotations

from pathlib import Path

import pytest
from pymodbus.client import ModbusTcpClient

from deploy.northbound.access.types import FakeWriter, Outcome, Refusal, SetPointChange
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.modbus import layout
from deploy.northbound.modbus.server import ModbusClient
from deploy.northbound.modbus.set_points import REASONS, ModbusWriteRules
from deploy.northbound.snapshot import SetPoint
from tests.deploy.northbound.modbus.modbus_rig import LOOPBACK, ModbusRig

SUPPLY = layout.slot_address(0, "wanted")
PRESSURE = layout.slot_address(1, "wanted")
LOCAL = ModbusClient("127.0.0.1")


def _configure(raw: int, step: int = 0) -> object:
    def change(source: FakeSource) -> None:
        setpoint = SetPoint("supply_setpoint", raw, 15_000, 45_000, True, step=step)
        source.replace(setpoints={**source.snapshot.setpoints, "supply_setpoint": setpoint})

    return change


def _slot(rig: ModbusRig, field: str, index: int = 0) -> int:
    return rig.registers.registers()[layout.slot_address(index, field)]


def _alive(rig: ModbusRig, number: int = 1) -> None:
    assert rig.registers.write(layout.KEEP_ALIVE, number, LOCAL) == 0


def test_a_change_is_tried_and_kept() -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK)
    _alive(rig)
    with rig.serve() as port, ModbusTcpClient("127.0.0.1", port=port) as client:
        assert not client.write_register(SUPPLY, 3300, device_id=1).isError()
        read = client.read_holding_registers(SUPPLY, count=8, device_id=1).registers
        active = layout.register_fields()["supply_setpoint"].counts(
            rig.source.snapshot.points["supply_setpoint"].raw
        )
        assert read == [3300, active, 1500, 4500, 1, 0, 1, 3200]
        assert not client.write_registers(SUPPLY, [3300], device_id=1).isError()
    assert [r[0] for r in writer.requests] == [SetPointChange("supply_setpoint", 33_000)]
    writer.results["1"] = Outcome("confirmed")
    rig.next_record(_configure(33_000))
    assert (_slot(rig, "configured"), _slot(rig, "result")) == (3300, 2)


@pytest.mark.parametrize(("state", "result"), [("rolled_back", 3), ("refused", 4), (None, 3)])
def test_results_of_the_unit(state: str | None, result: int) -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK)
    _alive(rig)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 0
    if state:
        writer.results["1"] = Outcome(state)
    else:
        writer.results.clear()
    rig.registers.refresh()
    assert _slot(rig, "result") == result


@pytest.mark.parametrize(
    ("counts", "reason"),
    [(1499, 4), (4501, 4), (0x8000, 4), (0xFFFF, 4), (0, 4), (3701, 5), (2699, 5)],
)
def test_limits_and_largest_step(counts: int, reason: int) -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK)
    rig.next_record(_configure(32_000, step=5000))
    _alive(rig)
    assert rig.registers.write(SUPPLY, counts, LOCAL) == 3
    assert (_slot(rig, "result"), _slot(rig, "reason")) == (4, reason)
    assert writer.requests == []
    user, address, *_, result = rig.audit.entries[-1]
    assert (user, address) == (LOCAL.address, LOCAL.address), "as in the entry of an accepted write"
    assert result == f"refused: {REASONS[reason]}"


def test_one_change_at_a_time_and_not_often() -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK)
    _alive(rig)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 0
    assert rig.registers.write(PRESSURE, 1000, LOCAL) == 6  # on trial
    writer.results["1"] = Outcome("confirmed")
    rig.next_record(_configure(33_000))
    assert rig.registers.write(SUPPLY, 3400, LOCAL) == 6  # too soon
    assert rig.registers.write(PRESSURE, 1000, LOCAL) == 0
    writer.results["2"] = Outcome("confirmed")
    rig.registers.refresh()
    rig.time.now += 61
    _alive(rig, 2)
    assert rig.registers.write(SUPPLY, 3400, LOCAL) == 0
    assert len(writer.requests) == 3


def test_without_keep_alive_nothing_is_written() -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 6
    _alive(rig)
    rig.time.now += 30
    _alive(rig)  # the same number: the client hangs
    rig.time.now += 31
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 6
    assert writer.requests == []


def test_the_set_point_returns_when_the_client_stops(tmp_path: Path) -> None:
    memory = tmp_path / "restore.json"
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK, memory=memory)
    _alive(rig)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 0
    writer.results["1"] = Outcome("confirmed")
    rig.next_record(_configure(33_000))
    rig.time.now += 59
    rig.registers.refresh()
    assert len(writer.requests) == 1
    # the process restarts; its client never comes back
    again = ModbusRig(writer, LOOPBACK, memory=memory)
    again.next_record(_configure(33_000))
    assert len(writer.requests) == 1
    again.time.now += 61
    again.registers.refresh()
    assert writer.requests[-1][:2] == (
        SetPointChange("supply_setpoint", 32_000),
        "keep-alive ended",
    )
    writer.results["2"] = Outcome("confirmed")
    again.next_record(_configure(32_000))
    again.time.now += 3600
    again.registers.refresh()
    assert len(writer.requests) == 2
    assert memory.read_text() == "{}"


def test_each_client_has_its_own_keep_alive(tmp_path: Path) -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK, memory=tmp_path / "restore.json")
    second = ModbusClient("127.0.0.2")
    assert rig.registers.write(layout.KEEP_ALIVE, 1, second) == 0
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 6  # the other one is alive
    _alive(rig)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 0
    writer.results["1"] = Outcome("confirmed")
    rig.next_record(_configure(33_000))
    for number in range(2, 5):  # the first client ends, the second one goes on
        rig.time.now += 30
        assert rig.registers.write(layout.KEEP_ALIVE, number, second) == 0
        rig.registers.refresh()
    assert [request[0].raw for request in writer.requests] == [33_000, 32_000]


def test_each_client_with_the_same_value_holds_a_set_point(tmp_path: Path) -> None:
    writer = FakeWriter()
    memory = tmp_path / "restore.json"
    rig = ModbusRig(writer, LOOPBACK, memory=memory)
    second = ModbusClient("127.0.0.2")
    _alive(rig)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 0
    writer.results["1"] = Outcome("confirmed")
    rig.next_record(_configure(33_000))
    assert rig.registers.write(layout.KEEP_ALIVE, 1, second) == 0
    assert rig.registers.write(SUPPLY, 3300, second) == 0
    for number in range(2, 5):
        rig.time.now += 30
        assert rig.registers.write(layout.KEEP_ALIVE, number, second) == 0
        rig.registers.refresh()
    assert len(writer.requests) == 1
    again = ModbusRig(writer, LOOPBACK, memory=memory)  # the server restarts and knows both
    again.next_record(_configure(33_000))
    for number in range(5, 9):
        _alive(again, number)
        again.time.now += 30
        again.registers.refresh()
    assert len(writer.requests) == 1, "the second one has ended, the first one has not"
    for _ in range(4):
        again.time.now += 30
        again.registers.refresh()
    assert [request[0].raw for request in writer.requests] == [33_000, 32_000]


def test_a_client_that_hangs_does_not_live_again_beside_many_others() -> None:
    rig = ModbusRig(FakeWriter(), LOOPBACK)
    _alive(rig)
    rig.time.now += 61
    for number in range(1, 40):
        other = ModbusClient(f"127.0.1.{number}")
        assert rig.registers.write(layout.KEEP_ALIVE, number, other) == 0
    _alive(rig)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 6


def test_active_is_the_value_in_force_and_configured_the_one_of_the_configuration() -> None:
    rig = ModbusRig()
    rig.next_record(_configure(31_000))
    rig.next_record(lambda source: source.set_point("supply_setpoint", 34_500))
    assert (_slot(rig, "active"), _slot(rig, "configured")) == (3450, 3100)
    rig.next_record(lambda source: source.set_point("supply_setpoint", None))
    assert (_slot(rig, "active"), _slot(rig, "configured")) == (0x8000, 3100)


def test_a_later_change_of_another_user_stays(tmp_path: Path) -> None:
    memory = tmp_path / "restore.json"
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK, memory=memory)
    _alive(rig)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 0
    writer.results["1"] = Outcome("confirmed")
    rig.next_record(_configure(33_000))
    rig.next_record(_configure(34_000))  # by an administrator
    rig.time.now += 61
    rig.registers.refresh()
    rig.time.now += 3600
    rig.registers.refresh()
    assert len(writer.requests) == 1
    assert memory.read_text() == "{}"


def _kept(rig: ModbusRig, writer: FakeWriter) -> None:
    """A master sets 33 degrees, then an administrator 34."""
    _alive(rig)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 0
    writer.results["1"] = Outcome("confirmed")
    rig.registers.refresh()  # the record still has the value before
    assert (_slot(rig, "result"), _slot(rig, "reason")) == (2, 0)
    rig.next_record(_configure(33_000))
    assert (_slot(rig, "result"), _slot(rig, "reason")) == (2, 0)
    rig.next_record(_configure(34_000))
    assert (_slot(rig, "configured"), _slot(rig, "wanted")) == (3400, 3300)
    assert (_slot(rig, "result"), _slot(rig, "reason")) == (5, 11)


def test_a_master_that_repeats_its_old_value_does_not_undo_a_later_change() -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK)
    _kept(rig, writer)
    for number in range(200):
        rig.time.now += 30
        _alive(rig, 2 + number)
        assert rig.registers.write(SUPPLY, 3300, LOCAL) == 0, "no exception: no fault of the master"
        rig.next_record(_configure(34_000))
    assert (_slot(rig, "result"), _slot(rig, "reason")) == (5, 11)
    assert len(writer.requests) == 1
    assert len([e for e in rig.audit.entries if "repeats" in e[-1]]) == 1
    # another value is a new decision, also within one minute of the administrator's change
    assert rig.registers.write(SUPPLY, 3350, LOCAL) == 0
    assert writer.requests[-1][0] == SetPointChange("supply_setpoint", 33_500)


def test_the_old_value_after_the_value_in_force_is_a_new_decision() -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK)
    _kept(rig, writer)
    rig.time.now += 61
    _alive(rig, 2)
    assert rig.registers.write(SUPPLY, 3400, LOCAL) == 0
    assert (_slot(rig, "result"), _slot(rig, "reason")) == (2, 0)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 0
    assert len(writer.requests) == 2
    assert _slot(rig, "result") == 1


def test_the_administrator_sets_the_old_value_again() -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK)
    _kept(rig, writer)
    rig.next_record(_configure(33_000))
    assert (_slot(rig, "result"), _slot(rig, "reason")) == (2, 0)
    rig.next_record(_configure(34_000))
    assert _slot(rig, "result") == 5
    rig.next_record(FakeSource.stop)  # not known: no change of the result
    assert _slot(rig, "result") == 5


def test_a_change_that_came_between_confirmation_and_record_is_seen_after_5_s() -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK)
    _alive(rig)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 0
    writer.results["1"] = Outcome("confirmed")
    rig.next_record(_configure(34_000))
    assert _slot(rig, "result") == 2
    rig.time.now += 5
    rig.registers.refresh()
    assert (_slot(rig, "result"), _slot(rig, "reason")) == (5, 11)


def test_a_restart_of_the_server_keeps_the_later_change(tmp_path: Path) -> None:
    """The master repeats its value, and then ends."""
    memory = tmp_path / "restore.json"
    writer = FakeWriter()
    _kept(ModbusRig(writer, LOOPBACK, memory=memory), writer)
    again = ModbusRig(writer, LOOPBACK, memory=memory)
    again.next_record(_configure(34_000))
    _alive(again)
    assert again.registers.write(SUPPLY, 3300, LOCAL) == 0
    assert (_slot(again, "result"), _slot(again, "reason")) == (5, 11)
    again.time.now += 61
    again.registers.refresh()
    assert len(writer.requests) == 1
    assert memory.read_text() == "{}"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"supply_setpoint": []}', '{"x": 1}', '{"supply_setpoint": null}', "\x00"],
)
def test_a_bad_memory_is_ignored(tmp_path: Path, text: str) -> None:
    memory = tmp_path / "restore.json"
    memory.write_text(text)
    rig = ModbusRig(FakeWriter(), LOOPBACK, memory=memory)
    rig.time.now += 100
    rig.registers.refresh()
    assert rig.writer is not None
    assert rig.writer.requests == []


def test_the_unit_refuses() -> None:
    rig = ModbusRig(FakeWriter(Refusal("not permitted")), LOOPBACK)
    _alive(rig)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 4
    assert (_slot(rig, "result"), _slot(rig, "reason")) == (4, 9)


def test_a_set_point_that_is_not_known_is_not_written() -> None:
    rig = ModbusRig(FakeWriter(), LOOPBACK)
    _alive(rig)
    rig.next_record(FakeSource.stop)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 4
    assert _slot(rig, "reason") == 10


def test_only_permitted_sources_write() -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, ModbusWriteRules(("192.0.2.0/24", "2001:db8::/32")))
    for address, allowed in (("192.0.2.9", 0), ("2001:db8::1", 0), ("192.0.3.1", 1), ("", 1)):
        client = ModbusClient(address)
        assert rig.registers.write(layout.KEEP_ALIVE, 1, client) == allowed, address
    tls = ModbusClient("192.0.2.9", "ReadOnly", "reader", tls=True)
    assert rig.registers.write(layout.KEEP_ALIVE, 1, tls) == 1


def test_only_wanted_and_keep_alive_are_written() -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK)
    _alive(rig)
    for address in range(layout.MAP_SIZE + 10):
        if address not in (SUPPLY, PRESSURE, layout.KEEP_ALIVE):
            assert rig.registers.write(address, 3300, LOCAL) == 2
    assert writer.requests == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("busy: one change in 10 s", 6),
        ("busy: too many messages of the site", 6),
        ("busy: another change is on trial", 7),
        ("out_of_range: supply_c: 25 to 35", 9),
    ],
)
def test_reasons_of_the_unit(text: str, reason: int) -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK)
    _alive(rig)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 0
    writer.results["1"] = Outcome("refused", text)
    rig.registers.refresh()
    assert (_slot(rig, "result"), _slot(rig, "reason")) == (4, reason)


def test_a_trial_of_another_server_is_busy() -> None:
    rig = ModbusRig(FakeWriter(Refusal("another change is on trial", 30)), LOOPBACK)
    _alive(rig)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 6
    assert (_slot(rig, "result"), _slot(rig, "reason")) == (4, 7)


def test_a_refused_return_is_sent_again_within_seconds() -> None:
    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK)
    _alive(rig)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 0
    writer.results["1"] = Outcome("confirmed")
    rig.next_record(_configure(33_000))
    rig.time.now += 61
    writer.refusal = Refusal("another change is on trial", 30)
    rig.registers.refresh()
    writer.refusal = None
    rig.time.now += 5
    rig.registers.refresh()
    assert len(writer.requests) == 2
    assert (_slot(rig, "result"), _slot(rig, "reason")) == (1, 8)
    pauses = []
    for _ in range(6):
        count = len(writer.requests)
        writer.results[str(count)] = Outcome("refused", "busy: one change in 10 s")
        rig.registers.refresh()
        assert (_slot(rig, "result"), _slot(rig, "reason")) == (2, 8)
        begin = rig.time.now
        while len(writer.requests) == count:
            rig.time.now += 1
            rig.registers.refresh()
        pauses.append(rig.time.now - begin)
    assert pauses == [10, 20, 40, 60, 60, 60], "the first one was 5 s"


def test_without_room_for_the_value_to_return_to_nothing_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    writer = FakeWriter()
    rig = ModbusRig(writer, LOOPBACK, memory=tmp_path / "restore.json")
    _alive(rig)
    monkeypatch.setattr("os.fsync", no_space)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 4
    assert writer.requests == []
    assert list(tmp_path.iterdir()) == []


def test_a_refused_write_leaves_no_value_to_return_to(tmp_path: Path) -> None:
    memory = tmp_path / "restore.json"
    rig = ModbusRig(FakeWriter(Refusal("another change is on trial", 30)), LOOPBACK, memory=memory)
    _alive(rig)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 6
    assert memory.read_text() == "{}"


def test_the_user_of_a_refused_write_is_the_client() -> None:
    rig = ModbusRig(FakeWriter(), LOOPBACK)
    assert rig.registers.write(SUPPLY, 3300, LOCAL) == 6
    assert rig.audit.entries[-1][0] == "127.0.0.1"
