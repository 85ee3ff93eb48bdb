# SPDX-License-Identifier: Apache-2.0
"""Remote changes in a pair whose records do not fit: damaged, apart, or of other software."""

from typing import Any

import pytest

from agent.config.load import load
from agent.core.errors import ConfigError
from agent.remote.storage.config_slots import RECORD, SLOTS
from hil.bench import operator_messages, optional_sections
from hil.bench.testbed_settings import TestbedSettings
from hil.run.several import pair_run
from hil.run.several.pair_run import PairRun
from protocols import cbor
from tests.hil.campaign.pair.remote_pair import (
    TOPIC,
    are_both_equal,
    begin_trial,
    confirm,
    make_run,
    power_off,
    report,
    roles,
    setpoint,
    start,
    stored,
    utc_s,
    wait,
)

pytestmark = pytest.mark.usefixtures("short_health_window")


def run_for(run: PairRun, seconds: float) -> None:
    run.run(run.world.now / 1e6 + seconds)


def confirmed_run() -> PairRun:
    """Return a pair in which both have a confirmed change."""
    run = make_run()
    start(run)
    begin_trial(run)
    confirm(run)
    assert are_both_equal(run)
    return run


def restart(run: PairRun, node: int) -> None:
    run.begin_fault("power", node)
    run_for(run, 1)
    run.end_fault("power", node)


def refuse_setpoint(run: PairRun, node: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the software of a controller not compile the set-point of the change."""
    start_from_store = run._start_from_store

    def refuse(raw: dict[str, Any], profiles: dict[str, dict[str, Any]]) -> Any:
        config = load(raw, profiles)
        if config.supply.setpoint == 31.0:
            raise ConfigError("not known here")
        return config

    def start_node(number: int, raw: dict[str, Any]) -> Any:
        with monkeypatch.context() as patch:
            if number == node:
                patch.setattr(pair_run, "load", refuse)
            return start_from_store(number, raw)

    monkeypatch.setattr(run, "_start_from_store", start_node)


def test_a_damaged_slot_of_the_standby_is_replaced_by_that_of_the_active_controller() -> None:
    run = confirmed_run()
    records = run.section_stores[1]["remote"].records
    slot = SLOTS[stored(run, 1).slots.slot]
    records[slot] = records[slot][:-1] + b"\0"
    restart(run, 1)
    run_for(run, 20)
    assert roles(run) == ["active", "standby"]
    assert are_both_equal(run)
    assert stored(run, 0).slots.version == 1
    assert stored(run, 1).confirmed() != b""


def test_software_that_cannot_run_the_confirmed_change_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = confirmed_run()
    refuse_setpoint(run, 1, monkeypatch)
    restarts = run.restarts
    restart(run, 1)
    run_for(run, 20)
    assert roles(run) == ["active", "standby"]
    assert run.restarts == restarts
    assert stored(run, 0).confirmed() == stored(run, 1).confirmed() != b""
    assert not run.agents[1].ports.is_fit()
    power_off(run, 0)
    run_for(run, 5)
    run.end_fault("power", 0)
    wait(run, 30, lambda: roles(run) == ["active", "standby"])
    assert run.agents[0].reason == "health"
    assert setpoint(run) == 31.0
    assert stored(run, 0).slots.version == 1


def test_a_standby_that_was_off_executes_no_older_command(monkeypatch: pytest.MonkeyPatch) -> None:
    section = operator_messages.write_section(TestbedSettings())
    key = operator_messages._public_key(9)
    section["keys"].append({"number": 9, "public": key, "role": "limits"})
    monkeypatch.setitem(optional_sections.SECTION_WRITERS, "remote", lambda _: section)
    run = make_run()
    start(run)
    run.begin_fault("power", 1)
    run_for(run, 12)
    arguments = ("key", operator_messages.OPERATE)
    message = operator_messages.sign_command(utc_s(run), "suspend", arguments)
    run.testbed.publish(TOPIC + "cmd", message, False)
    wait(run, 40, lambda: bool(report(run)["results"]))
    assert report(run)["pair"] == "alone"
    run.begin_fault("power", 0)
    run_for(run, 1)
    run.end_fault("power", 1)
    wait(run, 6, lambda: roles(run)[1] == "active")
    wait(run, 30, lambda: report(run)["results"] == [])
    for reason in ("not_yet", "rollback"):  # without UTC, and with it
        refused = report(run)["refused"]
        run.testbed.publish(TOPIC + "cmd", message, False)
        wait(run, 20, lambda refused=refused: report(run)["refused"] > refused)  # type: ignore[misc]
        assert report(run)["refusal"][0] == reason
        run_for(run, 20)
    later = operator_messages.sign_command(utc_s(run), "suspend", arguments)
    run.testbed.publish(TOPIC + "cmd", later, False)
    wait(run, 20, lambda: len(report(run)["results"]) == 1)


def test_of_two_changes_that_were_confirmed_apart_the_later_one_counts() -> None:
    run = make_run()
    start(run)
    run.begin_fault("power", 1)
    run_for(run, 12)
    begin_trial(run, 31.0)
    confirm(run)
    del run.testbed.broker.retained[TOPIC + "cfg/desired"]
    run.begin_fault("power", 0)
    run.end_fault("power", 1)
    wait(run, 8, lambda: roles(run)[1] == "active")
    wait(run, 30, lambda: report(run)["version"] == 0)
    begin_trial(run, 30.5)
    confirm(run)
    run.end_fault("power", 0)
    wait(run, 30, lambda: are_both_equal(run) and roles(run) == ["standby", "active"])
    assert setpoint(run) == 30.5
    assert stored(run, 0).slots.counters == stored(run, 1).slots.counters


def test_a_damaged_record_counts_by_its_copy() -> None:
    run = confirmed_run()
    counters = stored(run, 0).slots.counters
    for node in (0, 1):
        run.begin_fault("power", node)
        run.section_stores[node]["remote"].records[RECORD] = b"damaged"
    run.end_fault("power", 0)
    wait(run, 8, lambda: roles(run)[0] == "active")
    mirror = run.agents[0].ports.mirror
    assert mirror is not None
    assert mirror._own.slots.counters == counters
    assert setpoint(run) == 31.0


def test_records_of_other_software_end_no_controller() -> None:
    run = make_run()
    start(run)
    mirrors = [agent.ports.mirror for agent in run.agents if agent.ports.mirror is not None]
    for node in (0, 1):
        channel = mirrors[node].channel
        set_state = channel.set_state
        for content in (
            [1, 5, b"", [b"", b""], [b"", b"", b""], []],
            [1, b"", 5, [b"", b""], [b"", b"", b""], []],
            [1, b"", b"", [b""], [], [7]],
            [1, b"", b"", [b"", b""], [b"", b"", b""], [], "a new field"],
            [2],
        ):
            set_state(cbor.encode(content))
            channel.set_state = lambda _: None  # type: ignore[method-assign]
            run_for(run, 1)
            assert roles(run) == ["active", "standby"]
            assert not mirrors[1 - node].is_in_sync(run.world.now)
