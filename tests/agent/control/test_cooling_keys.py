# SPDX-License-Identifier: Apache-2.0
"""Each key of the section `cooling` changes an output, is read by its part, or is refused.

The laws run one script: load, facility water, air, humidity and set-point move. A changed key must
change one of their outputs. The keys of the parts around the laws (drives, sensors, checks) must be
read by these parts.
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from agent.config.load import load
from agent.control.law.cooling import ControlReadings
from agent.control.schema import COOLING, check_effect
from agent.core.errors import ConfigError
from tests.portable.agent.control.test_component import make_models, make_rig
from tests.portable.support.agent_rig import config
from tests.portable.support.cooling_settings import EXCHANGER, OPTIMUM
from tests.portable.support.whole_cooling import WholeCooling

SECOND = 1_000_000
BASE: dict[str, Any] = {
    "lag_s": 4.0,
    "low_c": 20.0,
    "high_c": 36.0,
    "exchanger": dict(EXCHANGER),
    "dew": {"sensors": 2, "margin_k": 2.0, "allowance_k": 1.0, "fallback_c": 32.0},
    "fans": {"min_pct": 10.0, "max_pct": 95.0, "rate_pct_per_s": 0.5, "middle_pct": 70.0},
    "optimum": {**OPTIMUM, "every_s": 60, "dp_min_kpa": 20.0, "leak_pct_k": 0.5},
}
MORE = {"zero_pct": 20.0, "facility_w": 20_000.0, "water_w_k": 2000.0}
"""Values of keys without a default."""
PAIRED = {
    "cooler_ua_kw_k": {"cooler_ua_kw_k": 30.0, "cooler_air_kw_k": 30.0},
    "cooler_air_kw_k": {"cooler_ua_kw_k": 30.0, "cooler_air_kw_k": 30.0},
    "facility_w": {"middle_min_pct": 20.0, "middle_max_pct": 100.0, "leak_pct_k": 0.0},
    "middle_min_pct": {"middle_min_pct": 40.0, "middle_max_pct": 80.0},
    "middle_max_pct": {"middle_min_pct": 40.0, "middle_max_pct": 80.0},
}
READ = {
    *("port", "facility", "spare_supply", "supply_offset_k", "return_offset_k", "valve_apart_pct"),
    *("valve_apart_s", "balance_pct", "optimum.air", "optimum.dp_min_kpa", "dew.sensors"),
    *("optimum.dp_max_kpa", "optimum.it_meter", "optimum.pump_meter", "optimum.wet_air"),
    *("fans.drives", "fans.auto_reset", "pumps.mode", "pumps.setpoint_lpm", "pumps.setpoint_k"),
    *("pumps.rotate_h", "pumps.stagger_s", "pumps.slot", "pumps.slot_s", "pumps.auto_reset"),
    "pumps.glance_ms",
}
"""Keys of the parts around the laws."""


def leaves(node: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, value in node["properties"].items():
        if "properties" in value:
            yield from leaves(value, f"{path}{key}.")
        else:
            yield path + key


KEYS = sorted(leaves(COOLING))


def outputs(section: dict[str, Any]) -> list[float]:
    """Run the script of the module; return all outputs, every 10 s."""
    supply = {"setpoint_c": 26.0, "min_pct": 5.0, "max_pct": 100.0, "rate_pct_per_s": 5.0}
    supply |= {key: section[key] for key in ("low_c", "high_c", "lag_s")}
    pumps = {"mode": "dp", "setpoint": 80.0, "min_pct": 25.0, "max_pct": 100.0}
    sections = {"supply": supply, "pumps": {**pumps, "rate_pct_per_s": 5.0}}
    for key in ("exchanger", "dew", "fans", "optimum"):
        if key in section:
            sections[key] = section[key]
    cooling, readings, found = WholeCooling(sections), ControlReadings(), []
    cooling.track(40.0, 70.0, 30.0)
    for i in range(600):
        slow = i / 600
        readings.supply_c = 26.0 + (0.7 if i % 97 > 60 else -0.4) + 9.0 * (i > 500)
        readings.return_c = readings.supply_c + 5.0 + 4.0 * ((i // 40) % 2) + (i % 40 < 6) * i % 6
        readings.fws_supply_c = 18.0 + 6.0 * slow + 12.0 * (250 < i < 560)
        readings.flow_lpm, readings.dp_kpa = 150.0 - 30.0 * slow, 70.0
        readings.valve_pct, readings.pump_pct = cooling.valve_pct, cooling.pump_pct
        readings.fws_flow_lpm = 90.0
        readings.air_c, readings.pump_w = -5.0 + 35.0 * slow, 900.0
        readings.load_kw = 95.0
        readings.adiabatic_air_c = readings.air_c - 8.0 * (i > 250)
        if "dew" in section:
            humid = None if i < 30 or 300 < i < 420 else 40.0 + 50.0 * slow
            cooling.add_humidity(0, 38.0, humid, i * SECOND)
            cooling.add_humidity(1, 38.0, None if i < 30 or i > 200 else 45.0, i * SECOND)
        cooling.step(readings, i * SECOND, 1.0)
        if not i % 10:
            found += [cooling.valve_pct, cooling.pump_pct, cooling.fan_pct, cooling.setpoint_c]
    return found


def changed(section: dict[str, Any], path: str, factor: float) -> dict[str, Any]:
    """Return a copy with another value of the key."""
    result = copy.deepcopy(section)
    *parents, key = path.split(".")
    owner = result
    for name in parents:
        owner = owner[name]
    old = owner.get(key, MORE.get(key, 0.0))
    owner[key] = old * factor if key in owner and old else MORE.get(key, 1.0)
    return result


@pytest.mark.parametrize("path", [key for key in KEYS if key not in READ])
def test_a_key_of_a_law_changes_an_output(path: str) -> None:
    base = copy.deepcopy(BASE)
    top, _, key = path.partition(".")
    if key == "water_w_k":
        base["fans"]["wet_above_c"] = 10.0
    if top != "optimum" and path not in ("low_c", "fans.wet_above_c"):
        del base["optimum"]  # it replaces set-points
    if top in ("optimum", "fans") or path == "low_c":
        del base["dew"]
    base.get("optimum", {}).update(PAIRED.get(key, {}))
    before = outputs(base)
    assert [f for f in (1.25, 0.6, 4.0) if outputs(changed(base, path, f)) != before]


class Recorder(dict[str, Any]):
    """A section that records which of its keys are read."""

    def __init__(self, raw: dict[str, Any], path: str, read: set[str]) -> None:
        super().__init__(raw)
        self.path, self.read = path, read
        for key, value in raw.items():
            if isinstance(value, dict):
                self[key] = Recorder(value, f"{path}{key}.", read)

    def __getitem__(self, key: str) -> Any:
        self.read.add(self.path + key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(self.path + key)
        return super().get(key, default)


def test_each_other_key_is_read_by_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    from agent.control import component  # noqa: PLC0415 - patched

    read: set[str] = {"port"}  # the registry reads it
    original = component.CoolingComponent.__init__

    def record(self: Any, agent: Any, settings: dict[str, Any], port: int) -> None:
        original(self, agent, Recorder(settings, "", read), port)

    monkeypatch.setattr(component.CoolingComponent, "__init__", record)
    rig = make_rig(dew=True, spare_supply="cdu", balance_pct=20, optimum=optimum_section())
    rig.run(90)
    # Without fans in this rig: `agent.control.fan_group` has tests for its two keys.
    assert READ - read == {"fans.drives", "fans.auto_reset"}


def optimum_section() -> dict[str, Any]:
    return {**OPTIMUM, "every_s": 60, "air": "room1"}


REFUSED = [
    ({"lag_s": 5}, "cooling.lag_s: has no effect without cooling.exchanger"),
    ({"high_c": 40}, "cooling.high_c: has no effect without cooling.exchanger"),
    ({"low_c": 22, "exchanger": EXCHANGER}, "cooling.low_c: has no effect without cooling.optimum"),
    ({"pumps": {"setpoint_lpm": 90}}, "cooling.pumps.setpoint_lpm: has no effect in the mode dp"),
    (
        {"pumps": {"setpoint_k": 9, "mode": "flow"}},
        "cooling.pumps.setpoint_k: has no effect in the mode flow",
    ),
    (
        {"exchanger": EXCHANGER, "optimum": {**OPTIMUM, "air": "room1", "facility_w": 900}},
        "cooling.optimum.facility_w: has no effect without middle_min_pct",
    ),
    ({"pumps": {"slot_s": 9}}, "cooling.pumps.slot_s: has no effect with slot 0"),
]


@pytest.mark.parametrize(("section", "text"), REFUSED)
def test_a_key_without_effect_is_refused(section: dict[str, Any], text: str) -> None:
    raw = config()
    raw["cooling"] = {"facility": "valve", **section}
    with pytest.raises(ConfigError) as refused:
        load(raw, make_models())
    assert str(refused.value).startswith(text)


def test_the_dew_limit_needs_the_model() -> None:
    """Without the model no law would use the humidity: it would protect nothing."""
    with pytest.raises(ConfigError, match=r"cooling.dew: has no effect without cooling.exchanger"):
        make_rig(dew=True, exchanger=None)


def test_rotation_needs_two_pumps() -> None:
    raw = config()
    raw["control"]["dp"]["pumps"] = raw["control"]["dp"]["pumps"][:1]
    raw["cooling"] = {"facility": "valve", "pumps": {"rotate_h": 24}}
    with pytest.raises(ConfigError, match="no effect with one pump"):
        load(raw, make_models())


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ({"optimum": {"wet_air": "outdoor"}}, "cooling.optimum.wet_air: has no effect"),
        ({"optimum": {"water_w_k": 10}}, "cooling.optimum.water_w_k: has no effect"),
    ],
)
def test_keys_of_the_pads_need_the_thermostat(section: dict[str, Any], text: str) -> None:
    errors: list[str] = []
    raw = {"cooling": section, "control": {"dp": {"pumps": ["a", "b"]}}}
    check_effect(raw, errors)
    assert errors[0].startswith(text)
    raw["cooling"] = {**section, "fans": {"wet_above_c": 30}}
    errors.clear()
    check_effect(raw, errors)
    assert errors == []
