# SPDX-License-Identifier: Apache-2.0
"""Changes of a running agent: the same ranges and results as the check of a whole file."""

import copy
from typing import Any

import pytest

from agent.config.load import load
from agent.config.schema import SCHEMA
from agent.core.errors import ConfigError
from agent.core.tunable import TUNABLES
from agent.remote.message.canonical import to_cbor
from agent.remote.update.live_change import with_changes
from tests.portable.agent.control import test_component
from tests.portable.support import agent_rig
from tests.portable.support.cooling_settings import EXCHANGER

config: Any = agent_rig.config
profiles: Any = agent_rig.profiles
make_models: Any = test_component.make_models


def schema_rule(path: str) -> dict[str, Any]:
    rule: dict[str, Any] = SCHEMA
    for step in path.split("."):
        rule = rule["properties"][step]
    return rule


def changed_config(path: str, value: float) -> dict[str, Any]:
    raw: dict[str, Any] = copy.deepcopy(config())
    *steps, last = path.split(".")
    node = raw
    for step in steps:
        node = node[step]
    node[last] = value
    return raw


def test_ranges_and_defaults_match_the_schema() -> None:
    for row in TUNABLES:
        rule = schema_rule(row.path)
        assert (rule["minimum"] * 1000, rule["maximum"] * 1000) == (row.low, row.high), row.path
        assert rule.get("default") == (None if row.default is None else row.default / 1000)


def test_numbers_are_unique_and_live_keys_have_an_attribute() -> None:
    assert [row.number for row in TUNABLES] == list(range(1, len(TUNABLES) + 1))
    assert len({row.path for row in TUNABLES}) == len(TUNABLES)
    for row in TUNABLES:
        assert row.live == bool(row.attribute), row.path
        assert row.low < row.high, row.path


@pytest.mark.parametrize("number", [row.number for row in TUNABLES if row.live])
def test_both_checks_give_the_same_result(number: int) -> None:
    path = next(row.path for row in TUNABLES if row.number == number)
    rule = schema_rule(path)
    low, high = rule["minimum"], rule["maximum"]
    running = load(config(), profiles())
    for value in (low, high, (low + high) / 2, low - 0.001, high + 0.001, low - 1, 50, 5.5):
        try:
            whole: Any = load(changed_config(path, value), profiles())
        except ConfigError:
            whole = None
        try:
            light: Any = with_changes(running, [(number, to_cbor(value))])
        except ConfigError:
            light = None
        assert (whole is None) == (light is None), value
        if light is not None:
            assert vars(light.supply) == vars(whole.supply)
            assert vars(light.pressure) == vars(whole.pressure)
            assert light.supply_max_c == whole.supply_max_c
    assert vars(running.supply) == vars(load(config(), profiles()).supply)


@pytest.mark.parametrize("row", [row for row in TUNABLES if row.live], ids=lambda row: row.path)
def test_agent_applies_and_reports_every_live_key(row: Any) -> None:
    def value(config: Any) -> float:
        owner = getattr(config, row.loop) if row.loop else config
        return float(getattr(owner, row.attribute))

    rig: Any = agent_rig.AgentRig()
    changed = with_changes(
        rig.agent.config, [(row.number, to_cbor((3 * row.low + row.high) / 4000))]
    )
    assert value(changed) != value(rig.agent.config)
    rig.agent.apply_live_config(changed)
    assert value(rig.agent.running_config()) == value(changed)


def test_non_numeric_value_is_rejected() -> None:
    running = load(config(), profiles())
    for value in ("33", True, None, [33]):
        with pytest.raises(ConfigError, match="a number is needed"):
            with_changes(running, [(1, value)])


REPLACED = [
    ("control.supply.gain_pct_per_k", "exchanger"),
    ("control.supply.integral_s", "exchanger"),
    ("control.dp.gain_pct_per_kpa", "pumps"),
    ("control.dp.integral_s", "pumps"),
]


@pytest.mark.parametrize(("path", "key"), REPLACED)
def test_key_of_a_replaced_loop_is_refused(path: str, key: str) -> None:
    """The loop of `cooling` has a tuning of its own: the file and the live change are refused."""
    loops = {"exchanger": EXCHANGER, "pumps": {}}
    raw = changed_config(path, 10)
    raw["cooling"] = {"facility": "valve"}
    with_loop = copy.deepcopy(config())
    with_loop["cooling"] = {"facility": "valve", key: loops[key]}
    text = f"{path}: has no effect, because cooling.{key} replaces this loop"
    load(raw, make_models())  # without the replacing loop the key has an effect
    raw["cooling"][key] = loops[key]
    with pytest.raises(ConfigError) as refused:
        load(raw, make_models())
    assert str(refused.value) == text
    running = load(with_loop, make_models())
    number = next(row.number for row in TUNABLES if row.path == path)
    for name in (number, path):
        with pytest.raises(ConfigError) as refused:
            with_changes(running, [(name, 10)])
        assert str(refused.value) == text
    with_changes(running, [("control.supply.setpoint_c", 33), ("control.dp.setpoint_kpa", 90)])
