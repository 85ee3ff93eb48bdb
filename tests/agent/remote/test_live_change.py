"""The table of ranges for changes of a running agent: as the schema, and as the whole check."""

import copy
from typing import Any

import pytest

from agent.config.load import load
from agent.config.schema import SCHEMA
from agent.core.errors import ConfigError
from agent.remote.message.canonical import to_cbor
from agent.remote.message.parameters import LIVE_NUMBERS, path_of
from agent.remote.update.live_change import RANGES, with_changes
from tests.portable.support import agent_rig

config: Any = agent_rig.config
profiles: Any = agent_rig.profiles


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


def test_live_parameter_ranges_match_the_schema() -> None:
    assert tuple(number for number, *_ in RANGES) == LIVE_NUMBERS
    for number, _, _, low, high in RANGES:
        rule = schema_rule(path_of(number) or "")
        assert (rule["minimum"] * 1000, rule["maximum"] * 1000) == (low, high), number


@pytest.mark.parametrize("number", LIVE_NUMBERS)
def test_both_checks_give_the_same_result(number: int) -> None:
    path = path_of(number) or ""
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


def test_non_numeric_value_is_rejected() -> None:
    running = load(config(), profiles())
    for value in ("33", True, None, [33]):
        with pytest.raises(ConfigError, match="a number is needed"):
            with_changes(running, [(1, value)])
