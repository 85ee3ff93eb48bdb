# SPDX-License-Identifier: Apache-2.0
"""Roll-out: canaries first, then waves, and the thresholds that stop it."""

from dataclasses import replace
from typing import Any

import pytest

from agent.remote.message import canonical, patch
from agent.remote.message.header import EPOCH_S
from deploy.errors import OpsError
from deploy.ops import change_parser
from deploy.ops.fleet.rollout.state import Plan, Rollout, RolloutUnit
from deploy.ops.report.unit_report import LastChange, UnitReport
from deploy.ops.unit_config.published import holds_changes

BLANK = UnitReport(0, bytes(32), (0, 0, 0), None, None, LastChange(0, "nothing", ""), ("", ""), 0)


class RolloutRig:
    """Units that confirm each change, except those in `failing`."""

    def __init__(self, count: int, plan: Plan, failing: tuple[int, ...] = ()) -> None:
        names = [f"s/u{i}" for i in range(count)]
        self.failing = [names[i] for i in failing]
        self.reports = dict.fromkeys(names, BLANK)
        self.sent: list[tuple[str, str]] = []
        self.rollout = Rollout(
            plan,
            {name: RolloutUnit(name, report=BLANK) for name in names},
            lambda *_: (5, b"patch"),
            lambda *_: b"confirm",
            lambda *_: b"rollback",
        )

    def step(self, now: float) -> None:
        self.rollout.tick(now)
        for name, kind, message in list(self.rollout.outbox):
            self.sent.append((name, message.decode() or kind))
            report = self.reports[name]
            if message == b"patch":
                report = replace(report, trial=5, phase="health")
            elif message == b"confirm":
                report = replace(report, trial=None, last=LastChange(5, "confirmed", ""))
            self.reports[name] = report
        self.rollout.outbox.clear()
        for name, report in self.reports.items():
            if report.trial and report.phase == "health" and name not in self.failing:
                self.reports[name] = replace(report, phase="confirm")
            elif report.trial and name in self.failing:
                self.reports[name] = replace(
                    report, trial=None, last=LastChange(5, "rolled_back", "unwell")
                )
            self.rollout.report(name, self.reports[name], now)

    def finish(self) -> dict[str, int]:
        for now in range(200):
            self.step(now)
            if self.rollout.is_done() and not self.rollout.outbox:
                break
        return self.rollout.count_states()


def test_canaries_come_first_then_waves() -> None:
    rig = RolloutRig(40, Plan(canary=0.05, wave=10))
    rig.step(0)
    assert rig.sent == [("s/u0", "patch"), ("s/u1", "patch")]
    rig.step(1)
    rig.step(2)
    patched = [name for name, kind in rig.sent if kind == "patch"]
    assert len(patched) <= 12
    assert rig.finish() == {"confirmed": 40}


def test_too_many_failures_stop_the_rollout() -> None:
    rig = RolloutRig(
        40, Plan(canary=0.05, max_failures=0.1, wave=10), failing=(10, 11, 12, 13, 14, 15)
    )
    counts = rig.finish()
    assert "failed" in rig.rollout.abort_reason
    assert counts["waiting"] >= 10
    assert counts["confirmed"] >= 2
    assert [name for name, kind in rig.sent if kind == "rollback"] or counts["failed"] >= 5


def test_a_unit_confirmed_before_the_rollback_counts_as_confirmed() -> None:
    rig = RolloutRig(3, Plan(canary=1.0, max_failures=0.0))
    rig.rollout.tick(0)
    rig.rollout.outbox.clear()
    for name in rig.reports:
        rig.rollout.report(name, replace(BLANK, trial=5, phase="health"), 1)
    rig.rollout.report("s/u0", replace(BLANK, last=LastChange(5, "rolled_back", "unwell")), 2)
    rig.rollout.tick(3)
    sent = [(name, kind) for name, kind, _ in rig.rollout.outbox if name != "s/u0"]
    assert sent == [(f"s/u{i}", kind) for i in (1, 2) for kind in ("clear", "command")]
    assert not rig.rollout.is_done()
    rig.rollout.report("s/u1", replace(BLANK, last=LastChange(5, "confirmed", "")), 4)
    rig.rollout.report("s/u2", replace(BLANK, last=LastChange(5, "rolled_back", "on demand")), 4)
    assert rig.rollout.is_done()
    assert rig.rollout.count_states() == {"failed": 2, "confirmed": 1}
    assert rig.rollout.units["s/u2"].reason == "called back"


def test_a_trial_counts_when_the_published_configuration_has_its_values() -> None:
    good, other = canonical.hash_config(b"good").hex(), canonical.hash_config(b"other").hex()
    signed = replace(BLANK, signed=True, trial=5, phase="confirm", config=good)
    rig = RolloutRig(2, Plan(canary=1.0))
    rig.rollout.holds = lambda config: config == b"good"
    rig.rollout.tick(0)
    rig.rollout.outbox.clear()
    rig.rollout.report("s/u0", signed, 1)
    rig.rollout.config("s/u0", b"before", 2)
    assert rig.rollout.outbox == []
    rig.rollout.config("s/u0", b"good", 3)
    assert rig.rollout.outbox == [("s/u0", "command", b"confirm")]
    rig.rollout.report(
        "s/u0", replace(signed, trial=6, last=LastChange(5, "confirmed", ""), config=other), 4
    )
    assert rig.rollout.units["s/u0"].state == "confirmed"
    rig.rollout.report("s/u1", replace(signed, phase=None, config=other), 5)
    rig.rollout.config("s/u1", b"other", 6)
    assert rig.rollout.units["s/u1"].state == "sent", "it has not started the change yet"
    rig.rollout.report("s/u1", replace(signed, config=other), 7)
    assert rig.rollout.outbox[-1] == ("s/u1", "command", b"rollback")
    confirmed = replace(
        signed, trial=None, phase=None, last=LastChange(5, "confirmed", ""), config=other
    )
    rig.rollout.report("s/u1", confirmed, 8)
    assert rig.rollout.units["s/u1"].state == "failed"
    assert "another change" in rig.rollout.units["s/u1"].reason


def test_one_failed_canary_stops_the_rollout() -> None:
    rig = RolloutRig(40, Plan(canary=0.05), failing=(1,))
    assert rig.finish()["waiting"] == 38


def test_a_few_failures_are_allowed() -> None:
    assert RolloutRig(40, Plan(), failing=(10, 20)).finish() == {"confirmed": 38, "failed": 2}


def test_a_unit_without_answer_fails_and_is_called_back() -> None:
    rig = RolloutRig(3, Plan(canary=0.1, max_failures=0.0, answer_s=10, delay_s=5))
    rig.rollout.tick(0)
    rig.rollout.outbox.clear()
    rig.rollout.report("s/u0", replace(BLANK, scheduled=5), 1)
    rig.rollout.tick(15)
    assert rig.rollout.outbox == []
    rig.rollout.tick(16)
    assert [(n, k) for n, k, _ in rig.rollout.outbox] == [("s/u0", "clear"), ("s/u0", "command")]
    assert "a canary failed" in rig.rollout.abort_reason
    assert not rig.rollout.is_done()
    late = replace(rig.rollout, units={"s/u0": replace(rig.rollout.units["s/u0"])}, outbox=[])
    rig.rollout.report("s/u0", replace(BLANK, last=LastChange(5, "rejected", "cancelled")), 17)
    assert rig.rollout.is_done()
    assert rig.rollout.count_states() == {"failed": 1, "waiting": 2}
    assert rig.rollout.units["s/u0"].reason == "no answer in state sent; called back"
    late.tick(27)
    assert late.is_done()
    assert "config cancel" in late.units["s/u0"].reason


@pytest.mark.parametrize("phase", [None, "health", "confirm"])
def test_each_state_without_answer_is_called_back(phase: str | None) -> None:
    rig = RolloutRig(1, Plan(answer_s=10, trial_s=10))
    rig.rollout.tick(0)
    if phase is not None:
        rig.rollout.report("s/u0", replace(BLANK, trial=5, phase=phase), 0)
    rig.rollout.outbox.clear()
    rig.rollout.tick(11)
    assert rig.rollout.outbox[-1] == ("s/u0", "command", b"rollback")


def test_a_rollback_that_cannot_be_signed_is_reported() -> None:
    def refuse(*_: object) -> bytes:
        raise OpsError("a wrong clock")

    rig = RolloutRig(2, Plan(canary=1.0, answer_s=10))
    rig.rollout.rollback = refuse
    rig.rollout.tick(0)
    rig.rollout.abort("stopped by the operator")
    assert rig.rollout.is_done()
    for unit in rig.rollout.units.values():
        assert "a wrong clock" in unit.reason
        assert "can still apply" in unit.reason


def test_a_pause_sends_nothing() -> None:
    rig = RolloutRig(3, Plan())
    rig.rollout.toggle_pause()
    rig.step(0)
    assert rig.sent == []
    rig.rollout.toggle_pause()
    assert rig.finish() == {"confirmed": 3}


@pytest.mark.parametrize(
    ("text", "is_seen"),
    [
        ("control.supply.setpoint_c=32.50", True),
        ("control.supply.kp=1e-3", True),
        ("control.supply.setpoint_c=", True),
        ('broker={"address":"tcp:b:1","password":"p"}', True),
        ('devices=[{"name":"rpu","pin":"3"}]', True),
        ("broker.password=p", False),
    ],
)
def test_the_values_of_a_change_are_found_in_a_configuration(text: str, is_seen: bool) -> None:
    """A secret is not published, so it is not compared."""
    raw = {"control": {"supply": {"setpoint_c": 32, "kp": 0.1}}, "broker": {"password": "o"}}
    base = canonical.decode_config(canonical.encode_config(raw))
    changes = change_parser.parse([text])
    message = patch.decode_patch(patch.encode_patch(EPOCH_S, 0, EPOCH_S, 0, changes))

    def publish(config: dict[str, Any]) -> bytes:
        return canonical.encode_config(canonical.without_secrets(config))

    assert holds_changes(publish(patch.apply_changes(base, message.changes)), changes)
    assert holds_changes(publish(base), changes) != is_seen
    for damaged in (b"", b"\xff", b"\x80"):
        assert not holds_changes(damaged, changes)
