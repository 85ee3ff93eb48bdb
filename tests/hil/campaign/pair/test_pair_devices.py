# SPDX-License-Identifier: Apache-2.0
"""A pair beside devices that do not reply, noise, and the limits of its configuration."""

from pathlib import Path
from typing import Any

import pytest

from agent.agent import Agent
from agent.commands import profiles
from agent.config.load import load
from agent.config.protection_only import protection_only
from agent.core.errors import ConfigError
from agent.port_numbers import FIRST_BUS
from agent.redundancy.beacon import UNITS, Word, build_request
from agent.redundancy.controller import make_controller
from agent.redundancy.pair_table import ACTIVE
from agent.redundancy.paired_agent import PairedAgent
from hil.bench.testbed_settings import TestbedSettings
from hil.run.several.pair_run import PAIR_KEY, PairRun
from protocols.modbus.rtu import build_frame


def silence_device(run: PairRun, unit: int) -> None:
    run.testbed.bus.servers[unit].dead = True


@pytest.mark.parametrize("unit", [12, 20, 31, 32])
def test_one_dead_device_stops_neither_control_nor_a_takeover(unit: int) -> None:
    run = PairRun(TestbedSettings())
    run.at(40, silence_device, run, unit)
    run.at(60, run.begin_fault, "power", 0)
    run.start()
    run.run(59)
    assert [agent.role for agent in run.agents] == ["active", "standby"]
    assert run.agents[0].takeovers == 1
    run.run(70)
    assert run.agents[1].role == "active"
    run.run(100)
    assert run.agents[1].takeovers == 1


def test_single_noise_bytes_do_not_stop_a_takeover() -> None:
    run = PairRun(TestbedSettings())
    for tenth in range(60):
        run.at(20 + 0.45 * tenth, run.line.send, 1, b"\x5a")
    run.at(20, run.begin_fault, "power", 0)
    run.measure_from(19)
    run.start()
    run.run(24)
    assert run.agents[1].role == "active"


def test_recorded_beacons_hours_apart_change_nothing() -> None:
    run = PairRun(TestbedSettings())
    old = build_frame(UNITS["a"], build_request(PAIR_KEY, UNITS["a"], Word(ACTIVE, 0, 7)))
    run.start()
    for number in range(6):
        run.at(20 + 5.21 * number, run.line.send, 1, old)
    run.run(60)
    assert [agent.role for agent in run.agents] == ["active", "standby"]


def test_a_paused_standby_does_not_answer_old_beacons() -> None:
    run = PairRun(TestbedSettings())
    run.at(20, run.begin_fault, "pause", 1)
    run.at(80, run.end_fault, "pause", 1)
    run.measure_from(19)
    run.start()
    run.run(100)
    assert run.agents[0].takeovers == 1
    assert run.longest_gap_us < 100_000


def pair_config(**changes: Any) -> dict[str, Any]:
    config = PairRun(TestbedSettings()).config
    return {**config, **changes}


@pytest.mark.parametrize("level", [1, 2])
def test_a_controller_in_a_boot_loop_stays_in_the_pair(level: int) -> None:
    config = protection_only(load(pair_config(), profiles()), level)
    assert isinstance(make_controller(config, lambda: Agent(config)), PairedAgent)


@pytest.mark.parametrize("content", [b"\xff\xfeb\n", b"", b"c", b"a\nb", b"ab"])
def test_a_damaged_node_file_is_one_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "node"
    path.write_bytes(content)
    section = {"node": "file", "node_file": str(path), "key": PAIR_KEY.hex()}
    config = load(pair_config(redundancy=section), profiles())
    with pytest.raises(ConfigError, match=r"redundancy\.node_file"):
        make_controller(config, lambda: Agent(config))


def test_a_watchdog_and_a_device_with_the_address_of_a_controller_are_refused() -> None:
    raw = pair_config(safety={"port": "watchdog:systemd"})
    raw["devices"] = [dict(device) for device in raw["devices"]]
    raw["devices"][0]["unit"] = 246
    with pytest.raises(ConfigError) as refused:
        load(raw, profiles())
    assert "not together with safety.port watchdog:systemd" in str(refused.value)
    assert "has unit 246" in str(refused.value)


def test_the_same_letter_is_printed_by_the_active_controller() -> None:
    run = PairRun(TestbedSettings())
    frame = build_frame(UNITS["b"], build_request(PAIR_KEY, UNITS["b"], Word(ACTIVE, 1, 1)))
    run.start()
    for number in range(5):
        run.at(20 + 1.31 * number, run.line.send, 1, frame)
    run.run(30)
    assert [line for line in run.console if "is a, too" in line]


def test_a_closed_port_is_no_failed_probe() -> None:
    run = PairRun(TestbedSettings())
    run.start()
    run.run(20)
    bus: Any = run.shells[1].endpoints[FIRST_BUS]
    bus.unplug()
    run.run(60)
    bus.plug()
    run.run(95)
    assert run.agents[1].role == "standby"
    assert run.agents[1].state.failed_probes == 0


def test_a_controller_that_is_out_stays_out_when_its_port_is_closed_and_opened() -> None:
    run = PairRun(TestbedSettings(), is_linked=True)
    run.at(20, run.command, 1, "out")
    run.start()
    run.run(22)
    bus: Any = run.shells[1].endpoints[FIRST_BUS]
    bus.unplug()
    run.run(26)
    bus.plug()
    run.run(60)
    assert [agent.role for agent in run.agents] == ["active", "out"]
    run.command(1, "in")
    run.run(63)
    assert run.agents[1].role == "standby"


def test_a_controller_without_its_line_still_takes_commands_and_uses_the_link() -> None:
    run = PairRun(TestbedSettings(), is_linked=True)
    run.start()
    run.run(20)
    bus: Any = run.shells[1].endpoints[FIRST_BUS]
    bus.unplug()
    run.run(30)
    assert not any("alarm raised pair_link_lost" in line for line in run.console)
    assert any("alarm raised standby_lost" in line for line in run.console)
    run.command(1, "out")
    run.run(33)
    assert run.agents[1].role == "out"
    bus.plug()
    run.run(75)
    assert run.agents[1].role == "out"
    run.command(1, "in")
    run.run(80)
    assert [agent.role for agent in run.agents] == ["active", "standby"]
    assert not any("alarm raised pair_link_lost" in line for line in run.console)
