"""The table of ranges for changes of a running agent: as the schema, and as the whole check."""

import copy
from typing import Any

import pytest

from agent.config.load import load
from agent.config.schema import SCHEMA
from agent.core.errors import ConfigError
from agent.remote.message.canonical import exact
from agent.remote.message.parameters import LIVE, path_of
from agent.remote.update.live_change import RANGES, retuned
from tests.portable.support import agent_rig

config: Any = agent_rig.config
profiles: Any = agent_rig.profiles


def rule_of(path: str) -> dict[str, Any]:
    rule: dict[str, Any] = SCHEMA
    for step in path.split("."):
        rule = rule["properties"][step]
    return rule


def changed(path: str, value: float) -> dict[str, Any]:
    raw: dict[str, Any] = copy.deepcopy(config())
    *steps, last = path.split(".")
    node = raw
    for step in steps:
        node = node[step]
    node[last] = value
    return raw


def test_every_live_parameter_has_the_range_of_the_schema() -> None:
    assert tuple(number for number, *_ in RANGES) == LIVE
    for number, _, _, low, high in RANGES:
        rule = rule_of(path_of(number) or "")
        assert (rule["minimum"] * 1000, rule["maximum"] * 1000) == (low, high), number


@pytest.mark.parametrize("number", LIVE)
def test_both_checks_have_one_verdict_and_one_result(number: int) -> None:
    path = path_of(number) or ""
    rule = rule_of(path)
    low, high = rule["minimum"], rule["maximum"]
    running = load(config(), profiles())
    for value in (low, high, (low + high) / 2, low - 0.001, high + 0.001, low - 1, 50, 5.5):
        try:
            whole: Any = load(changed(path, value), profiles())
        except ConfigError:
            whole = None
        try:
            light: Any = retuned(running, [(number, exact(value))])
        except ConfigError:
            light = None
        assert (whole is None) == (light is None), value
        if light is not None:
            assert vars(light.supply) == vars(whole.supply)
            assert vars(light.pressure) == vars(whole.pressure)
            assert light.supply_max_c == whole.supply_max_c
    assert vars(running.supply) == vars(load(config(), profiles()).supply)


def test_what_is_no_number_is_refused() -> None:
    running = load(config(), profiles())
    for value in ("33", True, None, [33]):
        with pytest.raises(ConfigError, match="a number is needed"):
            retuned(running, [(1, value)])
