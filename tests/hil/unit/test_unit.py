# SPDX-License-Identifier: Apache-2.0
"""Acceptance of one's own unit with emulated twins: the suites follow from the roles."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.fieldbus.device_session import DeviceSession
from hil.commands import hil
from hil.devices.power.redfish_bmc import RedfishBmc
from hil.run.unit.record_unit import record_twin
from hil.run.unit.unit_file import UnitFile, load_unit
from hil.run.unit.unit_suite import build_suite
from tests.portable.agent.config.test_roles import (
    all_roles,
    cdu_profile,
    command,
    one_device,
    self_controlled,
)

_SET_POINTS = {
    "supply": {"setpoint_c": 32, "sensor": "cdu", "cdu": "cdu"},
    "dp": {"setpoint_kpa": 80, "sensor": "cdu", "cdu": "cdu"},
}
_SAMPLE = Path(__file__).parents[3] / "deploy" / "debian" / "files" / "unit.json"


def write_site(folder: Path, control: dict[str, Any], profile: dict[str, Any]) -> Path:
    raw: dict[str, Any] = one_device(control)
    raw["buses"] = {"bus": "serial:/dev/ttyUSB0?baud=9600&parity=N"}
    raw["broker"] = {"address": "tcp:localhost:1883"}
    (folder / "profiles").mkdir()
    (folder / "profiles" / "one_cdu.json").write_text(json.dumps(profile))
    path = folder / "unit.json"
    path.write_text(json.dumps(raw))
    return path


def failures(unit: UnitFile, name: str = "") -> dict[str, tuple[str, ...]]:
    """Return the failures of the scenarios whose names begin with `name`."""
    found = {}
    for scenario in build_suite(unit, is_real=False).scenarios:
        if scenario.name.startswith(name):
            result = record_twin(unit, scenario, 1, "cpython").run_result
            found[scenario.name] = result.failures
    return found


@pytest.mark.parametrize("kind", ["actuators", "set-points", "monitor"])
def test_a_one_address_cdu_passes(tmp_path: Path, kind: str) -> None:
    control, profile = {
        "actuators": (all_roles(), cdu_profile()),
        "set-points": (_SET_POINTS, self_controlled()),
        "monitor": ({"supply": {"sensor": "cdu"}}, cdu_profile()),
    }[kind]
    unit = load_unit(write_site(tmp_path, control, profile))
    assert unit.left_out == ["broker"]
    found = failures(unit)
    assert not any(found.values()), found
    assert ("unit-control" in found) == (kind != "monitor")
    assert ("unit-writes-refused/cdu" in found) == (kind != "monitor")
    assert "unit-alarm-bits/cdu" in found


def test_each_of_many_alarm_bits_has_its_check(tmp_path: Path) -> None:
    """A device with more bits than one scenario can show."""
    profile = cdu_profile()
    words = [{"name": f"Word{n}", "address": 20 + n, "alarm": True} for n in range(4)]
    for word in words:
        word["bits"] = [f"{word['name']}Bit{i}" for i in range(16)]
    profile["flags"] = [*profile.get("flags", []), *words]
    unit = load_unit(write_site(tmp_path, all_roles(), profile))
    found = [
        scenario
        for scenario in build_suite(unit, is_real=False).scenarios
        if scenario.name.startswith("unit-alarm-bits/cdu")
    ]
    checked = {e.text for scenario in found for e in scenario.events}
    alarms = {f"cdu.{bit.name}" for bit in unit.compiled["cdu"].bits if bit.alarm}
    assert checked == alarms
    assert len(alarms) > 64
    assert [scenario.name for scenario in found] == [
        "unit-alarm-bits/cdu/1",
        "unit-alarm-bits/cdu/49",
    ]
    assert f"the alarm bits 49 to {len(alarms)} of {len(alarms)} of cdu" in found[1].title


def test_the_title_names_what_is_only_monitored(tmp_path: Path) -> None:
    control = all_roles()
    control["dp"] = {"sensor": "cdu"}
    unit = load_unit(write_site(tmp_path, control, cdu_profile()))
    assert build_suite(unit, is_real=True).title.endswith(": supply, dp only monitored")


def second_pump() -> dict[str, Any]:
    """Return the profile of a second pump in the same CDU; its fault is a bit of the same word."""
    return {
        **{key: cdu_profile()[key] for key in ("title", "source", "met_hardware", "defaults")},
        "model": "second_pump",
        "points": [command("PumpSpeedControlPercent", 8, "%", 1000)],
        "flags": [
            {"name": "Word", "address": 7, "bits": [None, None, "PumpFault"], "alarm": True},
        ],
        "pump": {"setpoint": "PumpSpeedControlPercent"},
    }


def test_a_part_of_a_device_has_a_twin_at_the_same_address(tmp_path: Path) -> None:
    control = all_roles()
    control["dp"]["pumps"] = ["cdu", "pump2"]
    path = write_site(tmp_path, control, cdu_profile())
    raw = json.loads(path.read_text())
    part = {"name": "pump2", "bus": "bus", "unit": 7, "profile": "second_pump", "part_of": "cdu"}
    raw["devices"].append(part)
    path.write_text(json.dumps(raw))
    (tmp_path / "profiles" / "second_pump.json").write_text(json.dumps(second_pump()))
    unit = load_unit(path)
    found = failures(unit)
    assert not any(found.values()), found
    assert {"unit-device-lost/pump2", "unit-device-restart/pump2"} <= set(found)
    bits = {event.text for s in build_suite(unit, is_real=False).scenarios for event in s.events}
    assert {"cdu.PumpFault", "pump2.PumpFault"} <= bits


def test_the_sample_of_the_package_passes() -> None:
    found = failures(load_unit(_SAMPLE), "unit-device")
    assert len(found) == 7
    assert not any(found.values()), found


def test_one_write_cycle_for_two_actuators_is_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin shows the fault that a device with two roles had: each output replaced the other."""
    monkeypatch.setattr(DeviceSession, "claim_outputs", lambda session: session)
    unit = load_unit(write_site(tmp_path, all_roles(), cdu_profile()))
    found = failures(unit, "unit-foreign-write")
    assert len(found) == 2
    assert any(found.values())


def test_an_output_outside_the_limits_of_the_profile_is_refused(tmp_path: Path) -> None:
    raw = cdu_profile()
    raw["points"][5]["limits"] = [0, 300]
    path = write_site(tmp_path, all_roles(), raw)
    assert hil(["run", "acceptance", "--unit", str(path), "--json"]) == 2


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_site(tmp_path, {"supply": {"sensor": "cdu"}}, cdu_profile())
    key = str(tmp_path / "key")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    command = ["run", "acceptance", "--unit", str(path), "--json", "--key", key]
    assert hil([*command, "--report", str(tmp_path / "out" / "a"), "--serial", "SN1"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["verdict"] == "pass"
    assert hil(["verify", "--trust", str(tmp_path / "out" / "a")]) == 0
    written = json.loads((tmp_path / "out" / "a" / "record.json").read_text())
    devices = written["runs"][0]["provenance"]["devices"]
    assert [(row["name"], row["kind"]) for row in devices] == [("cdu", "emulated")]
    assert hil(["run", "smoke", "--unit", str(path)]) == 2
    assert hil(["run", "acceptance", "--unit", str(tmp_path / "none.json")]) == 2


def write_loads(folder: Path) -> Path:
    """Write a site with a CDU that controls itself and two servers with limits."""
    path = write_site(folder, _SET_POINTS, self_controlled())
    raw = json.loads(path.read_text())
    path_of = "/redfish/v1/Chassis/%s/EnvironmentMetrics"
    load = {"class": "gpu", "max_w": 10_000, "min_w": 3_000, "port": "bmc"}
    loads = [{**load, "name": name, "path": path_of % name} for name in ("gpu1", "gpu2")]
    raw["throttle"] = {"ports": {"bmc": "tcp:bmc:80"}, "loads": loads}
    path.write_text(json.dumps(raw))
    return path


def test_limits_reach_the_servers_of_a_cdu_that_controls_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = load_unit(write_loads(tmp_path))
    assert unit.left_out == ["broker", "throttle"]
    assert failures(unit, "unit-load-limit") == {"unit-load-limit": ()}
    monkeypatch.setattr(RedfishBmc, "_patch", lambda *_: (400, {}, []))
    found = failures(unit, "unit-load-limit")["unit-load-limit"]
    assert any("loads_limited" in line for line in found)


def test_a_unit_without_loads_says_that_limits_are_not_tested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_site(tmp_path, {"supply": {"sensor": "cdu"}}, cdu_profile())
    assert hil(["run", "acceptance", "--unit", str(path)]) == 0
    assert "not tested here: limits of the loads; no load has" in capsys.readouterr().out
    assert "unit-load-limit" not in failures(load_unit(path), "unit-load")
