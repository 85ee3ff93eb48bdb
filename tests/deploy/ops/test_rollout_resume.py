# SPDX-License-Identifier: Apache-2.0
"""A rollout goes on after its process has died, at each place where it can die."""

import argparse
import contextlib
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.remote import fleet
from deploy.errors import LocalError, OpsError
from deploy.ops import keys
from deploy.ops.change_parser import parse
from deploy.ops.command.push import make_cohorts
from deploy.ops.command.show import report_to_json
from deploy.ops.fleet.rollout import command_rollout
from deploy.ops.fleet.rollout.driver import make_rollout, run_rollout
from deploy.ops.fleet.rollout.journal import (
    RolloutJournal,
    RolloutSettings,
    encode_changes,
    first_record,
    has_running_process,
    new_name,
    read_journal,
    send_request,
)
from deploy.ops.fleet.rollout.state import Plan
from deploy.ops.keys import Key
from deploy.ops.ledger import Ledger, decode_message
from deploy.ops.report.unit_report import LastChange, UnitReport
from tests.deploy.ops.test_config_command import BLANK, SETPOINT, RemoteSite, config
from tests.support.cli_tools import wait_until

NAMES = [f"s/u{i}" for i in range(4)]
KEY = Key(1, "operate", Ed25519PrivateKey.generate())


class LaptopDiesError(Exception):
    """The process ends here."""


class EmulatedFleet:
    """A broker and units behind it; the process dies at its I/O operation number `dies_at`."""

    def __init__(self) -> None:
        self.reports = dict.fromkeys(NAMES, BLANK)
        self.patches: dict[str, set[int]] = {name: set() for name in NAMES}
        self.operations = 0
        self.dies_at: int | None = None
        self.failing: set[str] = set()

    def count(self) -> None:
        self.operations += 1
        if self.operations == self.dies_at:
            raise LaptopDiesError

    def subscribe(self, _topic: str) -> None:
        """Subscribe to nothing: all reports arrive."""

    def messages(self, _seconds: float) -> Iterator[tuple[str, bytes]]:
        for name, report in self.reports.items():
            yield f"{name}/cfg/reported", encode_report(report)
            if report.trial is not None and report.phase == "health":
                self.reports[name] = (
                    replace(
                        report, trial=None, last=LastChange(report.trial, "rolled_back", "unwell")
                    )
                    if name in self.failing
                    else replace(report, phase="confirm")
                )

    def publish_async(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self.count()
        site, unit, rest = topic.split("/", 2)
        if payload:
            self._take(f"{site}/{unit}", decode_message(payload), rest)
        self.count()

    def _take(self, name: str, message: Any, rest: str) -> None:
        report = self.reports[name]
        patch, command, manifest = report.counters
        if rest == "cfg/desired":
            if message.counter <= patch:
                about = (1, message.counter)
                self.reports[name] = replace(
                    report,
                    refused_count=report.refused_count + 1,
                    last_refusal=("replay", ""),
                    refused_message=about,
                )
                return
            self.patches[name].add(message.counter)
            counters = (message.counter, command, manifest)
            self.reports[name] = replace(
                report, counters=counters, trial=message.counter, phase="health"
            )
            return
        if message.counter <= command:
            return
        report = replace(report, counters=(patch, message.counter, manifest))
        if report.trial is not None and message.arguments.get("counter") == report.trial:
            word = "confirmed" if message.name == "confirm" else "rolled_back"
            report = replace(
                report, trial=None, phase=None, last=LastChange(report.trial, word, "")
            )
        self.reports[name] = report


def encode_report(report: UnitReport) -> bytes:
    raw = report_to_json(report)
    raw["hash"] = raw.pop("base_hash")
    return json.dumps(raw).encode()


class MortalJournal(RolloutJournal):
    """A journal whose process dies before or after a write."""

    fleet: EmulatedFleet

    def write(self, *records: dict[str, Any]) -> None:
        self.fleet.count()
        RolloutJournal.write(self, *records)
        self.fleet.count()


def settings(**changes: Any) -> RolloutSettings:
    plan = Plan(answer_s=60, trial_s=60)
    values: dict[str, Any] = {
        "changes": encode_changes(parse([f"{SETPOINT}=33"])),
        "group": "",
        "expires_s": 3600,
        "confirm_s": 3600,
        "after_s": 0,
        "cohorts": [NAMES[:1], NAMES[1:3], NAMES[3:]],
        "plan": asdict(plan),
    }
    return RolloutSettings(**{**values, **changes})


def drive(folder: Path, name: str, fleet_: EmulatedFleet) -> dict[str, int]:
    """Run or continue the rollout `name`; raises `LaptopDiesError`."""
    is_new = not (folder / f"{name}.jsonl").exists()
    journal = MortalJournal(folder, name, is_new=is_new)
    journal.fleet = fleet_
    try:
        if is_new:
            journal.write(first_record(settings()))
        content = read_journal(folder, name)
        rollout = make_rollout(content.settings, [KEY], dict(fleet_.reports), content)
        run_rollout(rollout, fleet_, journal)  # type: ignore[arg-type]
        return rollout.count_states()
    finally:
        journal.close()


@pytest.fixture
def own_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLDLOOP_LEDGER", str(tmp_path / "ledger.jsonl"))
    return tmp_path / "rollouts"


def test_a_rollout_goes_on_after_a_death_at_each_operation(own_ledger: Path) -> None:
    whole = EmulatedFleet()
    assert drive(own_ledger, new_name(), whole) == {"confirmed": 4}
    assert whole.operations > 20
    for failing in (set(), {NAMES[2]}):
        for dies_at in range(3, whole.operations + 1):
            units = EmulatedFleet()
            units.dies_at, units.failing = dies_at, failing
            name = new_name()
            with contextlib.suppress(LaptopDiesError):
                drive(own_ledger, name, units)
                assert failing  # a stopped rollout has fewer operations
                continue
            states = drive(own_ledger, name, units)
            confirmed = [n for n in NAMES if units.reports[n].last.result == "confirmed"]
            on_trial = [n for n in NAMES if units.reports[n].trial is not None]
            assert states.get("confirmed", 0) == len(confirmed), (dies_at, states)
            assert not on_trial, (dies_at, failing)
            assert all(len(found) <= 1 for found in units.patches.values()), (dies_at, failing)
            if not failing:
                assert states == {"confirmed": 4}, dies_at
            ended = read_journal(own_ledger, name)
            assert ended.ended == states


def test_a_truncated_last_line_is_removed_and_damage_is_an_error(own_ledger: Path) -> None:
    units, name = EmulatedFleet(), new_name()
    units.dies_at = 20
    with pytest.raises(LaptopDiesError):
        drive(own_ledger, name, units)
    path = own_ledger / f"{name}.jsonl"
    with path.open("ab") as file:
        file.write(b'{"unit": "s/u')
    assert drive(own_ledger, name, units) == {"confirmed": 4}
    lines = path.read_bytes().split(b"\n")
    for i, bad in ((0, b"{}"), (1, b"{"), (1, b'{"unit": "s/other", "state": "sent"}')):
        path.write_bytes(b"\n".join([*lines[:i], bad, *lines[i + 1 :]]))
        with pytest.raises(OpsError, match="damaged"):
            read_journal(own_ledger, name)
    with pytest.raises(OpsError, match="not a rollout"):
        read_journal(own_ledger, "../ledger")


def test_only_one_process_drives_a_rollout(own_ledger: Path) -> None:
    name = new_name()
    journal = RolloutJournal(own_ledger, name, is_new=True)
    assert has_running_process(own_ledger, name)
    with pytest.raises(OpsError, match="another process"):
        RolloutJournal(own_ledger, name)
    send_request(own_ledger, name, "pause")
    assert journal.take_request() == "pause"
    assert journal.take_request() == ""
    journal.close()
    assert not has_running_process(own_ledger, name)


def test_a_pause_starts_no_unit_and_a_request_ends_it(own_ledger: Path) -> None:
    units, name = EmulatedFleet(), new_name()
    journal = RolloutJournal(own_ledger, name, is_new=True)
    journal.write(first_record(settings()))
    content = replace(read_journal(own_ledger, name), paused=True)
    rollout = make_rollout(content.settings, [KEY], dict(units.reports), content)
    for now in range(10):
        rollout.tick(now)
    assert rollout.outbox == []
    send_request(own_ledger, name, "resume")
    run_rollout(rollout, units, journal)  # type: ignore[arg-type]
    assert rollout.count_states() == {"confirmed": 4}
    journal.close()


def test_an_abort_is_kept_until_it_is_stored(own_ledger: Path) -> None:
    units, name = EmulatedFleet(), new_name()
    journal = RolloutJournal(own_ledger, name, is_new=True)
    journal.write(first_record(settings()))
    for word in ("abort", "resume", "pause"):  # no later word replaces it
        send_request(own_ledger, name, word)
    assert [journal.take_request() for _ in range(2)] == ["abort", "abort"]
    journal.close()  # the process ends before it does it
    options = ("--broker", "tcp:127.0.0.1:1", "--key", str(make_key(own_ledger.parent, "a", 1)))
    resumed = config("rollout", "resume", name, *options)
    assert resumed.returncode == 2
    assert f"config rollout abort {name}" in resumed.stderr
    assert drive(own_ledger, name, units) == {"waiting": 4}
    assert read_journal(own_ledger, name).abort_reason == "stopped by the operator"
    assert not list(own_ledger.glob("*.abort"))


def make_key(folder: Path, name: str, number: int) -> Path:
    return keys.make_key(folder, name, number, "operate", "").with_suffix(".key")


@pytest.mark.parametrize("operation", range(1, 13))
def test_a_full_disk_of_the_operator_is_no_failed_unit(
    own_ledger: Path, monkeypatch: pytest.MonkeyPatch, operation: int
) -> None:
    units, name, count = EmulatedFleet(), new_name(), [0]
    own_add, own_write = Ledger.add, RolloutJournal.write

    def fail(own: Any, *arguments: Any) -> None:
        count[0] += 1
        if count[0] - 1 == operation:  # the first one is that of the settings
            raise LocalError("No space left on device")
        own(*arguments)

    monkeypatch.setattr(Ledger, "add", lambda *a: fail(own_add, *a))
    monkeypatch.setattr(RolloutJournal, "write", lambda *a: fail(own_write, *a))
    with pytest.raises(LocalError, match="has stopped and has not ended"):
        drive(own_ledger, name, units)
    content = read_journal(own_ledger, name)
    assert (content.ended, content.abort_reason) == (None, "")
    assert "failed" not in {entry.state for entry in content.units.values()}
    assert drive(own_ledger, name, units) == {"confirmed": 4}
    assert all(len(found) == 1 for found in units.patches.values())


def test_an_abort_on_a_full_disk_is_done_by_the_next_process(
    own_ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units, name = EmulatedFleet(), new_name()
    units.dies_at = 9
    with pytest.raises(LaptopDiesError):
        drive(own_ledger, name, units)
    assert [n for n in NAMES if units.reports[n].trial is not None]
    send_request(own_ledger, name, "abort")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail_write)
        with pytest.raises(LocalError):
            drive(own_ledger, name, units)
    states = drive(own_ledger, name, units)
    assert states.get("waiting", 0) >= 2
    reasons = {entry.reason for entry in read_journal(own_ledger, name).units.values()}
    assert reasons == {"", "called back"}  # the time of the call back starts at the abort
    assert not [n for n in NAMES if units.reports[n].trial is not None]
    assert read_journal(own_ledger, name).ended == states


def fail_write(_file: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_another_key_and_a_newer_change_are_named(
    own_ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units, name = EmulatedFleet(), new_name()
    first, other = (make_key(own_ledger.parent, word, 1) for word in ("first", "other"))
    signers = [keys.load(first, "").public]
    made = settings(signers=signers, newest_counters=dict.fromkeys(NAMES, 0))
    journal = RolloutJournal(own_ledger, name, is_new=True)
    journal.write(first_record(made))
    journal.close()
    monkeypatch.setattr(command_rollout, "open_session", lambda _: contextlib.nullcontext(units))
    monkeypatch.setattr(units, "subscribe", lambda _: None, raising=False)

    def resume(key: Path, *options: str) -> int:
        parser = argparse.ArgumentParser()
        command_rollout.configure(parser)
        words = ["resume", name, "--broker", "x", "--key", str(key), *options]
        return command_rollout.run(parser.parse_args(words))

    with pytest.raises(OpsError, match="Use the same keys, or --force"):
        resume(other)
    newer = replace(BLANK, counters=(7, 0, 0))
    units.reports[NAMES[2]] = newer
    with pytest.raises(OpsError, match=f"1 waiting units have a newer change.*{NAMES[2]}"):
        resume(first)
    content = read_journal(own_ledger, name)
    late = make_rollout(content.settings, [KEY], {NAMES[0]: newer}, content)  # seen after resume
    late.tick(0)
    assert late.outbox == [(NAMES[0], "clear", b"")]
    assert "not overwritten" in late.units[NAMES[0]].reason
    assert resume(other, "--force") == 0


def test_any_damage_of_a_journal_is_an_error_with_text(own_ledger: Path) -> None:
    units, name = EmulatedFleet(), new_name()
    drive(own_ledger, name, units)
    path = own_ledger / f"{name}.jsonl"
    lines = path.read_bytes().splitlines()
    values: list[Any] = [None, 1e999, -1, "x", [], [1], [[1]], {}, {"a": 1}, True]
    for i in (0, 1, len(lines) - 1):
        record = json.loads(lines[i])
        inner = record["rollout"] if i == 0 else record
        for field in [*inner, None]:
            for value in values:
                bad = value if field is None else {**inner, field: value}
                bad = {"rollout": bad} if i == 0 else bad
                damaged = [*lines[:i], json.dumps(bad).encode(), *lines[i + 1 :], b""]
                path.write_bytes(b"\n".join(damaged))
                with contextlib.suppress(OpsError):
                    content = read_journal(own_ledger, name)
                    make_rollout(content.settings, [KEY], {}, content).tick(0)
    (own_ledger / f"{name}.request").write_bytes(b"\xff\xfe")
    path.write_bytes(b"\n".join([*lines, b""]))
    journal = RolloutJournal(own_ledger, name)
    assert journal.take_request() == ""
    journal.close()


def test_cohorts_go_one_after_another_and_soak() -> None:
    names = ["a/1", "a/2", "b/1", "b/2"]
    assert make_cohorts(names, [], 0.05) == [names[:1], names[1:]]
    assert make_cohorts(names, ["b/*", "*/1"], 0.05) == [["b/1", "b/2"], ["a/1"], ["a/2"]]
    assert make_cohorts(names, ["*"], 0.05) == [names]
    with pytest.raises(OpsError, match="no unit"):
        make_cohorts(names, ["*/1", "a/1"], 0.05)


def test_a_cohort_with_too_many_failures_stops_the_rollout(own_ledger: Path) -> None:
    units, name = EmulatedFleet(), new_name()
    units.failing = {NAMES[1]}
    journal = RolloutJournal(own_ledger, name, is_new=True)
    plan = asdict(Plan(max_failures=0.3))
    journal.write(first_record(settings(plan=plan)))
    content = read_journal(own_ledger, name)
    rollout = make_rollout(content.settings, [KEY], dict(units.reports), content)
    run_rollout(rollout, units, journal)  # type: ignore[arg-type]
    assert rollout.abort_reason == "1 units of cohort 2 failed; 0 of 2 are allowed"
    assert units.patches[NAMES[3]] == set()
    assert read_journal(own_ledger, name).abort_reason == rollout.abort_reason
    journal.close()


def test_the_next_cohort_waits_for_the_soak_time(own_ledger: Path) -> None:
    content = read_new(own_ledger, settings(plan=asdict(Plan(soak_s=100))))
    rollout = make_rollout(content.settings, [KEY], dict.fromkeys(NAMES, BLANK), content)
    rollout.tick(0)
    counter = rollout.units[NAMES[0]].counter
    rollout.report(NAMES[0], replace(BLANK, last=LastChange(counter, "confirmed", "")), 1)
    rollout.outbox.clear()
    rollout.tick(2)
    rollout.tick(101)
    assert rollout.outbox == []
    rollout.tick(102)
    assert [name for name, _, _ in rollout.outbox] == NAMES[1:3]
    assert rollout.cohort() == 2


def read_new(folder: Path, made: RolloutSettings) -> Any:
    name = new_name()
    journal = RolloutJournal(folder, name, is_new=True)
    journal.write(first_record(made))
    journal.close()
    return read_journal(folder, name)


def test_a_push_killed_at_a_random_moment_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLDLOOP_LEDGER", str(tmp_path / "own" / "ledger.jsonl"))
    rng = random.Random(7)
    with fleet.broker(tmp_path) as port:
        site = RemoteSite(tmp_path, port, 10)
        try:
            for value in (33, 33.5):
                kill_and_resume(site, value, rng.uniform(0.2, 3))
        finally:
            site.stop.set()
            site.thread.join()


def kill_and_resume(site: RemoteSite, value: float, delay_s: float) -> None:
    options = ["--broker", f"tcp:127.0.0.1:{site.port}", "--key", f"{site.folder}/one.key"]
    command = [sys.executable, "-m", "coldloop", "config", "push", "fleet/*"]
    command += [f"{SETPOINT}={value}", "--listen", "1s", "--cohort", "*/u0001", *options]
    before = site.read_setpoints()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as push:
        wait_until("the first unit is on trial", lambda: site.read_setpoints() != before)
        time.sleep(delay_s)  # a random moment, not a wait for a fact
        os.kill(push.pid, signal.SIGKILL)
        push.communicate()
    row = json.loads(config("rollout", "list", "--json").stdout)[0]
    assert row["state"] in ("died", "ended")
    if row["state"] == "died":
        paused = config("rollout", "pause", row["rollout"])
        assert "has died" in paused.stderr
        assert "--broker" in config("rollout", "resume", row["rollout"]).stderr
        resumed = config("rollout", "resume", row["rollout"], *options, "--json")
        assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert site.read_setpoints() == [value] * 3
    shown = json.loads(config("rollout", "show", row["rollout"], "--json").stdout)
    assert (shown["state"], shown["states"]) == ("ended", {"confirmed": 3})
