# SPDX-License-Identifier: Apache-2.0
"""The test of the load limits fits each configuration: set-points, lowest limits, chassis."""

import json
from pathlib import Path
from typing import Any

import pytest

from hil.devices.power.redfish_bmc import RedfishBmc
from hil.run.unit.unit_file import UnitFile, load_unit
from hil.run.unit.unit_suite import build_suite
from tests.hil.unit.test_unit import failures, write_site
from tests.portable.agent.config.test_roles import all_roles, cdu_profile

_NAME = "unit-load-limit"
_CHASSIS = "/redfish/v1/Chassis/"


def load(name: str, path: str = "", **other: Any) -> dict[str, Any]:
    path = _CHASSIS + (path or f"{name}/EnvironmentMetrics")
    schema = "power" if path.endswith("/Power") else "environment"
    limits = {"class": "gpu", "max_w": 10_000, "min_w": 3_000, "schema": schema, **other}
    return {"name": name, "port": "bmc", "path": path, **limits}


TWO = [load("gpu1"), load("gpu2")]


def unit_of(
    folder: Path, loads: list[dict[str, Any]], setpoint: tuple[float, float] = (35, 80), **raw: Any
) -> UnitFile:
    control = all_roles()
    control["supply"]["setpoint_c"], control["dp"]["setpoint_kpa"] = setpoint
    path = write_site(folder, control, cdu_profile())
    section = {"ports": {"bmc": "tcp:bmc:80"}, "loads": loads, **raw}
    path.write_text(json.dumps({**json.loads(path.read_text()), "throttle": section}))
    return load_unit(path)


@pytest.mark.parametrize(
    "setpoint", [(15, 80), (25, 80), (32, 55), (35, 55), (35, 80), (38, 80), (40, 60), (45, 80)]
)
def test_a_correct_unit_passes_with_each_set_point(
    setpoint: tuple[float, float], tmp_path: Path
) -> None:
    assert failures(unit_of(tmp_path, TWO, setpoint), _NAME) == {_NAME: ()}


@pytest.mark.parametrize("lowest_w", [3_000, 9_000, 9_600, 9_990, 9_999])
def test_a_load_with_a_small_range_is_limited_to_its_lowest(lowest_w: int, tmp_path: Path) -> None:
    unit = unit_of(tmp_path, [load("a", min_w=lowest_w), load("b", min_w=lowest_w)])
    assert failures(unit, _NAME) == {_NAME: ()}


@pytest.mark.parametrize("name", ["cpu", "server", "storage", "optics", "late"])
def test_each_class_gets_the_water_that_limits_it(name: str, tmp_path: Path) -> None:
    curve = [{"supply_c": 56, "pct": 100}, {"supply_c": 60, "pct": 80}]
    late = {"name": "late", "case_limit_c": 90, "rise_k": 20, "curve": curve}
    unit = unit_of(tmp_path, [load("a", **{"class": name}), load("b")], classes=[late])
    assert failures(unit, _NAME) == {_NAME: ()}


@pytest.mark.parametrize(
    "loads",
    [
        [load("a", "c/EnvironmentMetrics"), load("b", "c/Power")],
        [load("a", "c/EnvironmentMetrics"), load("b", "c/EnvironmentMetrics"), load("d")],
        [load("a", "c/EnvironmentMetrics"), load("b", "c/Power", max_w=5_000), load("d")],
        [load("a", "c/Power"), load("b", "c/Power")],
    ],
)
def test_loads_of_one_chassis_share_its_limit(loads: list[dict[str, Any]], tmp_path: Path) -> None:
    assert failures(unit_of(tmp_path, loads), _NAME) == {_NAME: ()}


def test_without_a_range_there_is_no_limit_to_test(tmp_path: Path) -> None:
    unit = unit_of(tmp_path, [load("a", min_w=10_000)])
    assert _NAME not in [scenario.name for scenario in build_suite(unit, is_real=False).scenarios]


@pytest.mark.parametrize("loads", [TWO, [load("a", min_w=9_990)], [load("a", "c/Power")]])
def test_a_limit_that_does_not_arrive_fails(
    loads: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedfishBmc, "_patch", lambda *_: (400, {}, []))
    found = failures(unit_of(tmp_path, loads), _NAME)[_NAME]
    assert any("loads_limited" in line for line in found)
    assert any("load_limit_pct" in line for line in found)
