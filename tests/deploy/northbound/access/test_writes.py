# SPDX-License-Identifier: Apache-2.0
"""Changes and commands of the site: signed, sent, followed, with a real agent behind the socket."""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.alarm_record import DEGRADED, AlarmRecord
from deploy.northbound.access.counter_lock import FILE
from deploy.northbound.access.submissions import OpenWrite
from deploy.northbound.access.types import (
    FakeAudit,
    Outcome,
    Refusal,
    SetPointChange,
    Submission,
    UnitCommand,
)
from deploy.northbound.access.writes import Writer, WriterProcess
from deploy.northbound.bacnet.set_points import SetPointWrites
from deploy.northbound.modbus import layout
from deploy.northbound.modbus.server import ModbusClient
from deploy.northbound.modbus.set_points import ModbusWriteRules, UnitRegisters
from deploy.northbound.record import POINTS, SnapshotSource
from deploy.ops import keys
from drivers.ports.cpython.local import SOCKET
from tests.deploy.northbound.record_writer import stamped
from tests.portable.agent.northbound.test_component import LOCAL, SITE, WRITES, SiteRig

DONE = Outcome("confirmed")
ALARM = AlarmRecord("device_lost", DEGRADED, "no answer from", "device", True)


class SiteBench:
    """A unit and a process that writes to it. `run` lets both live for some seconds."""

    def __init__(self, folder: Path, writes: dict[str, object] | None) -> None:
        public = keys.make_key(folder, "site", SITE, "site", "")
        self.folder = folder
        self.rig = SiteRig(writes)
        self.use_key(public)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(str(folder / SOCKET))
        self.audit = FakeAudit()
        self.now = 0.0
        self._written: dict[str, bytes] = {}
        self.writer = self.new_writer()
        self.run(6)

    def use_key(self, public: Path) -> None:
        """Give the unit the public key of the file."""
        number_and_key = keys.read_public_key(public)
        settings = self.rig.manager.settings
        for key in settings["keys"]:
            if key["number"] == SITE:
                key["public"] = number_and_key["public"]

    def new_writer(self, process: str = "web") -> Writer:
        source = SnapshotSource(self.folder)
        key = self.folder / "site.key"
        identity = WriterProcess(self.folder, process, 30)
        return Writer("s1/u1", self.folder, key, source, self.audit, identity, lambda: self.now)

    def run(self, seconds: int) -> None:
        for _ in range(seconds * 2):
            self.now += 0.5
            while True:
                try:
                    self.rig.deliver("receive", LOCAL, self.socket.recv(4096))
                except BlockingIOError:
                    break
            self.rig.run(0.5)
            for name, data in self.rig.records.items():
                if name == POINTS or self._written.get(name) != data:
                    (self.folder / "new").write_bytes(stamped(data))
                    os.replace(self.folder / "new", self.folder / name)
                    self._written[name] = data
            self.writer.tick()

    def submit(self, request: SetPointChange | UnitCommand) -> str:
        found = self.writer.submit(request, "otto", "10.0.0.9", "redfish")
        assert isinstance(found, Submission), found
        return found.id

    def refusal(self, request: SetPointChange | UnitCommand) -> str:
        found = self.writer.submit(request, "otto", "10.0.0.9", "redfish")
        assert isinstance(found, Refusal), found
        return found.reason

    def setpoint(self) -> float:
        found: float = self.rig.agent.supply_loop.config.setpoint
        return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteBench]:
    site = SiteBench(tmp_path, WRITES)
    yield site
    site.socket.close()


def test_a_change_is_on_trial_then_confirmed(site: SiteBench) -> None:
    name = site.submit(SetPointChange("supply_setpoint", 31_500))
    assert site.writer.result(name) == Outcome("pending")
    site.run(3)
    assert site.writer.result(name) == Outcome("trial", "health")
    assert site.setpoint() == 31.5
    site.run(40)
    assert site.writer.result(name) == Outcome("confirmed")
    assert site.rig.slot_state()[0] == 1
    results = [entry[5].split()[0] for entry in site.audit.entries]
    assert results[0] == "sent"
    assert results[-1] == "confirmed"
    entries = [(signers, action) for signers, action, _ in site.rig.audit_entries()]
    assert ((SITE,), "patch control.supply.setpoint_c=31.5") in entries


def test_a_value_that_is_configured_already_is_confirmed_without_a_message(site: SiteBench) -> None:
    entries = site.rig.audit_entries()
    configured = site.writer._source.read().setpoints["supply_setpoint"].configured
    assert configured is not None
    change = SetPointChange("supply_setpoint", configured)
    for _ in range(3):
        state = site.writer.result(site.submit(change))
        assert state == Outcome("confirmed", "the value is configured already")
    site.run(3)
    assert site.rig.audit_entries() == entries, "the unit knows nothing of it"
    assert {entry[5] for entry in site.audit.entries} == {"the value is configured already"}
    site.submit(SetPointChange("supply_setpoint", configured + 500))
    site.run(3)
    assert site.refusal(change) == "another change is on trial"


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_trial_whose_end_was_not_seen_keeps_no_other_change_out(
    site: SiteBench, is_kept: bool
) -> None:
    """The report has the last change only, and another one has ended while the server hung."""
    name, hung = site.submit(SetPointChange("supply_setpoint", 31_500)), site.writer
    site.run(3)
    site.writer = site.new_writer("bacnet")
    assert site.writer.roll_back("adam", "", "panel", any_user=True)
    for raw in (32_500, 31_500 if is_kept else 32_200):
        site.run(65)
        site.submit(SetPointChange("supply_setpoint", raw))
    site.run(45)
    site.writer = hung
    site.run(3)
    assert hung.result(name) == Outcome("trial", "health"), "perhaps the next record has it"
    site.run(35)
    state = "confirmed" if is_kept else "rolled_back"
    assert hung.result(name) == Outcome(state, "by the value: the unit does not report its end")
    site.run(30)
    site.submit(SetPointChange("supply_setpoint", 31_800))


def test_a_change_on_trial_is_confirmed_after_many_other_requests(site: SiteBench) -> None:
    name = site.submit(SetPointChange("supply_setpoint", 31_500))
    site.run(3)
    for _ in range(70):
        site.writer._add(
            OpenWrite(UnitCommand("release", {}), "otto", "", "panel", 2, outcome=DONE)
        )
    site.run(40)
    assert site.writer.result(name) == Outcome("confirmed")
    assert site.setpoint() == 31.5
    assert site.writer.result("2") is None, "the oldest one that has ended gives way"


def test_an_ill_unit_rolls_the_change_back(site: SiteBench) -> None:
    name = site.submit(SetPointChange("supply_setpoint", 31_000))
    site.run(3)
    site.rig.agent.alarms.update(ALARM, "valve", True, site.rig.now)
    site.run(5)
    outcome = site.writer.result(name)
    assert outcome is not None
    assert outcome.state == "rolled_back"
    assert site.setpoint() == 32


def test_what_is_not_permitted_is_refused_before_it_is_sent(site: SiteBench) -> None:
    assert "out of range" in site.refusal(SetPointChange("supply_setpoint", 36_000))
    assert "step" in site.refusal(SetPointChange("supply_setpoint", 29_000))
    assert "does not permit" in site.refusal(SetPointChange("pressure_setpoint", 100_000))
    assert "does not permit" in site.refusal(SetPointChange("heat", 1))
    assert "does not permit" in site.refusal(UnitCommand("restart", {}))
    assert "does not permit" in site.refusal(UnitCommand("override", {"minutes": 1}))
    site.run(2)
    assert site.rig.manager.rejections.count == 0
    assert all(entry[5].startswith("refused") for entry in site.audit.entries)
    assert len(site.audit.entries) == 6


def test_one_change_at_a_time(site: SiteBench) -> None:
    site.submit(SetPointChange("supply_setpoint", 31_000))
    assert "on trial" in site.refusal(SetPointChange("supply_setpoint", 31_500))
    site.run(45)
    assert site.setpoint() == 31
    name = site.submit(SetPointChange("supply_setpoint", 31_500))
    site.run(3)
    assert site.writer.result(name) == Outcome("refused", "busy: one change in 60 s")


def test_commands_have_a_result(site: SiteBench) -> None:
    site.rig.agent.alarms.update(ALARM, "valve", True, site.rig.now)
    site.run(1)
    name = site.submit(UnitCommand("acknowledge", {"code": "device_lost:valve"}))
    site.run(3)
    assert site.writer.result(name) == Outcome("confirmed", "acknowledged: device_lost:valve")
    name = site.submit(UnitCommand("shelve", {"code": "nothing", "minutes": 5}))
    site.run(3)
    outcome = site.writer.result(name)
    assert outcome is not None
    assert (outcome.state, outcome.reason.split(":")[0]) == ("refused", "out_of_range")


def test_two_processes_with_one_key_do_not_lose_a_command(site: SiteBench) -> None:
    other = site.new_writer("bacnet")
    site.rig.agent.alarms.update(ALARM, "valve", True, site.rig.now)
    site.rig.agent.alarms.update(ALARM, "lag", True, site.rig.now)
    site.run(1)
    first = site.submit(UnitCommand("acknowledge", {"code": "device_lost:valve"}))
    second = other.submit(
        UnitCommand("acknowledge", {"code": "device_lost:lag"}), "otto", "10.0.0.9", "bacnet"
    )
    assert isinstance(second, Submission)
    for _ in range(12):
        site.run(1)
        other.tick()
    assert site.writer.result(first) == Outcome("confirmed", "acknowledged: device_lost:valve")
    assert other.result(second.id) == Outcome("confirmed", "acknowledged: device_lost:lag")


def test_without_an_agent_nothing_is_sent(tmp_path: Path) -> None:
    site = SiteBench(tmp_path, WRITES)
    site.socket.close()
    (tmp_path / SOCKET).unlink()
    assert "cannot be reached" in site.refusal(SetPointChange("supply_setpoint", 31_000))
    (tmp_path / "points.json").unlink()
    assert "does not run" in site.refusal(SetPointChange("supply_setpoint", 31_000))


def test_without_writes_or_key_nothing_is_sent(tmp_path: Path) -> None:
    site = SiteBench(tmp_path, None)
    assert "does not permit" in site.refusal(SetPointChange("supply_setpoint", 31_000))
    assert "does not permit" in site.refusal(UnitCommand("acknowledge", {}))
    source = SnapshotSource(tmp_path)
    for key, text in ((None, "no key"), (tmp_path / "none.key", "none.key")):
        writer = Writer("s1/u1", tmp_path, key, source, site.audit)
        found = writer.permitted(UnitCommand("acknowledge", {}))
        assert isinstance(found, Refusal)
        assert text in found.reason
    site.socket.close()


def test_a_lost_message_times_out(site: SiteBench) -> None:
    name = site.submit(UnitCommand("acknowledge", {}))
    site.socket.recv(4096)
    site.run(32)
    assert site.writer.result(name) == Outcome("refused", "no answer of the agent")
    assert site.writer.result("99") is None


def test_without_room_for_the_counter_nothing_is_sent(
    site: SiteBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.submit(UnitCommand("acknowledge", {"code": "nothing"}))
    site.run(3)
    stored = (site.folder / FILE).read_text()
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", _no_space)
        assert "cannot be stored" in site.refusal(SetPointChange("supply_setpoint", 31_000))
    with pytest.raises(BlockingIOError):
        site.socket.recv(4096)
    assert (site.folder / FILE).read_text() == stored
    assert not list(site.folder.glob("*.new"))
    assert isinstance(site.submit(SetPointChange("supply_setpoint", 31_000)), str)


def _no_space(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_after_a_restart_the_change_of_before_is_rolled_back(site: SiteBench) -> None:
    site.submit(SetPointChange("supply_setpoint", 31_000))
    site.run(3)
    assert site.setpoint() == 31
    site.writer = site.new_writer()
    site.run(10)
    assert site.setpoint() == 32
    assert site.rig.slot_state()[0] == 0
    site.run(60)
    name = site.submit(SetPointChange("supply_setpoint", 31_500))
    site.run(45)
    assert site.writer.result(name) == Outcome("confirmed")


def test_a_restart_of_another_process_ends_no_trial(site: SiteBench) -> None:
    name = site.submit(SetPointChange("supply_setpoint", 31_000))
    site.run(3)
    other = site.new_writer("bacnet")
    for _ in range(40):
        site.run(1)
        other.tick()
    assert site.writer.result(name) == Outcome("confirmed")


def test_a_trial_without_a_server_ends_soon(site: SiteBench) -> None:
    site.submit(SetPointChange("supply_setpoint", 31_000))
    site.run(1)
    site.writer = site.new_writer("bacnet")
    site.run(190)
    assert site.setpoint() == 32


def test_the_trial_of_another_server_refuses_a_change(site: SiteBench) -> None:
    other = site.new_writer("bacnet")
    site.submit(SetPointChange("supply_setpoint", 31_000))
    site.run(2)
    found = other.submit(SetPointChange("supply_setpoint", 31_500), "b", "10.0.0.8", "bacnet")
    assert found == Refusal("another change is on trial", 30)
    assert other.permitted(SetPointChange("supply_setpoint", 31_500)) == found


def test_each_server_finds_the_refusal_of_its_message(site: SiteBench) -> None:
    other = site.new_writer("bacnet")
    shelve = UnitCommand("shelve", {"code": "nothing", "minutes": 5})
    change = SetPointChange("supply_setpoint", 31_000)
    site.submit(change)
    site.run(45)
    first = site.submit(SetPointChange("supply_setpoint", 31_500))
    second = other.submit(SetPointChange("supply_setpoint", 31_250), "b", "10.0.0.8", "bacnet")
    assert isinstance(second, Submission)
    site.submit(shelve)
    site.run(3)
    other.tick()
    busy = Outcome("refused", "busy: one change in 60 s")
    assert (site.writer.result(first), other.result(second.id)) == (busy, busy)


def test_a_rollback_that_the_unit_refuses_is_sent_seldom(site: SiteBench) -> None:
    site.submit(SetPointChange("supply_setpoint", 31_000))
    site.run(3)
    site.rig.agent.service("site_writes").trial_counter = 0  # as after a restart of the unit
    site.writer = site.new_writer()
    before = site.rig.manager.rejections.count
    site.run(185)
    assert site.setpoint() == 32
    assert 2 <= site.rig.manager.rejections.count - before <= 6


@pytest.mark.parametrize("protocol", ["modbus", "bacnet"])
def test_a_cyclic_writer_makes_one_trial_of_what_the_unit_rolls_back(
    site: SiteBench, protocol: str
) -> None:
    """A client writes each second for 200 s; the unit is ill while it tries the value."""
    source = SnapshotSource(site.folder)
    registers = UnitRegisters(
        source, site.audit, lambda: site.now, site.writer, ModbusWriteRules(("127.0.0.0/8",))
    )
    writes = SetPointWrites(site.writer, site.audit, lambda: site.now, site.folder)
    for counts in range(1, 201):
        if protocol == "modbus":
            registers.refresh()
            registers.write(layout.KEEP_ALIVE, counts, ModbusClient("127.0.0.1"))
            registers.write(layout.slot_address(0, "wanted"), 3150, ModbusClient("127.0.0.1"))
        else:
            writes.update(source.read())
            writes.submit(SetPointChange("supply_setpoint", 31_500), "127.0.0.1")
        is_ill = site.setpoint() == 31.5
        site.rig.agent.alarms.update(ALARM, "valve", is_ill, site.rig.now)
        site.run(1)
    results = [entry[5].split()[0] for entry in site.audit.entries if entry[3] == "set"]
    assert results == ["sent", "rolled_back"]
    assert site.setpoint() != 31.5
    if protocol == "modbus":
        assert registers.registers()[layout.slot_address(0, "result")] == 3
