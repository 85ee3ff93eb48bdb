# SPDX-License-Identifier: Apache-2.0
"""One device with several roles, a CDU that controls itself, and units that only monitor."""

from agent.agent import Agent
from agent.config.load import load
from agent.core.errors import ConfigError
from drivers.device.profile_check import check_profile
from tests.portable.support.agent_rig import minimal_config, profiles
from tests.portable.support.check import eq, raises
from tests.portable.support.power_rig import PATH, load_section, throttle_section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def cdu_profile() -> "dict[str, Any]":
    """Return the profile of a CDU with eight registers that are all its roles."""
    return {
        "model": "one_cdu",
        "title": "CDU with one address",
        "source": "made up",
        "met_hardware": False,
        "defaults": {"unit": "1"},
        "points": [
            measured("SupplyTemperatureCelsius", 0, "Cel"),
            measured("ReturnTemperatureCelsius", 1, "Cel"),
            measured("FlowLitersPerMinute", 2, "L/min"),
            measured("DeltaPressurekPa", 3, "kPa"),
            command("PumpSpeedControlPercent", 4, "%", 1000),
            command("ValvePositionControlPercent", 5, "%", 1000),
        ],
        "flags": [
            {"name": "Status", "address": 6, "bits": ["Running"]},
            {"name": "AlarmWord", "address": 7, "bits": ["Leak", "PumpFault"], "alarm": True},
        ],
        "pump": {"setpoint": "PumpSpeedControlPercent"},
        "valve": {"setpoint": "ValvePositionControlPercent"},
    }


def measured(name: str, address: int, unit: str) -> "dict[str, Any]":
    return {"name": name, "address": address, "type": "i16", "scale": [1, 10], "unit": unit}


def command(name: str, address: int, unit: str, high: int) -> "dict[str, Any]":
    point = measured(name, address, unit)
    point.update({"type": "u16", "write": True, "limits": [0, high]})
    return point


def self_controlled() -> "dict[str, Any]":
    """Return the profile of a CDU that takes set-points only."""
    raw = cdu_profile()
    raw["points"][4] = command("DeltaPressureControlkPa", 4, "kPa", 4000)
    raw["points"][5] = command("SupplyTemperatureControlCelsius", 5, "Cel", 450)
    del raw["pump"], raw["valve"]
    raw["cdu"] = {"supply": "SupplyTemperatureControlCelsius", "dp": "DeltaPressureControlkPa"}
    return raw


def one_device(control: "dict[str, Any]") -> "dict[str, Any]":
    """Return the configuration of a unit with the device `cdu` only."""
    raw: dict[str, Any] = minimal_config()
    raw["devices"] = [{"name": "cdu", "bus": "bus", "unit": 7, "profile": "one_cdu"}]
    raw["control"] = control
    return raw


def all_roles() -> "dict[str, Any]":
    return {
        "supply": {"setpoint_c": 32, "sensor": "cdu", "valve": "cdu"},
        "dp": {"setpoint_kpa": 80, "sensor": "cdu", "pumps": ["cdu"]},
    }


def test_one_device_is_sensor_valve_and_pump():
    loaded = load(one_device(all_roles()), {"one_cdu": cdu_profile()})
    agent = Agent(loaded)
    eq(agent.valve.session is agent.pumps[0].session, False)
    agent.valve.request(40.0)
    agent.pumps[0].request(70.0)
    eq(agent.valve.command_pct, 40.0)
    eq(agent.pumps[0].command_pct, 70.0)
    eq(agent.pumps[0].tripped(), False)


def test_cdu_gets_set_points_only():
    control = {
        "supply": {"setpoint_c": 32, "sensor": "cdu", "cdu": "cdu"},
        "dp": {"setpoint_kpa": 80, "sensor": "cdu", "cdu": "cdu"},
    }
    loaded = load(one_device(control), {"one_cdu": self_controlled()})
    eq((loaded.supply.is_driven, loaded.supply.actuators), (False, ["cdu"]))
    agent = Agent(loaded)
    eq((agent.valve.position(), agent.pumps), (None, []))
    agent.supply_loop.step(0, 1.0)
    eq(agent.fieldbus.sessions[0]._cycles[0]._requested, [(5, 320)])
    eq(agent.supply_loop.setpoint, 32.0)


def test_unit_only_monitors():
    control = {"supply": {"sensor": "cdu"}}
    loaded = load(one_device(control), {"one_cdu": cdu_profile()})
    agent = Agent(loaded)
    agent.start(0)
    agent.supply_loop.step(0, 1.0)
    eq((loaded.supply.actuators, loaded.pressure.sensor), ([], ""))
    eq(agent.pressure_loop.sensor.value(0), None)
    load(one_device({}), {"one_cdu": cdu_profile()})


def test_errors_of_the_forms():
    cases = (
        (
            {"supply": {"setpoint_c": 32, "sensor": "cdu"}},
            "control.supply.setpoint_c: has no effect without valve or cdu",
        ),
        ({"supply": {"sensor": "cdu", "valve": "cdu"}}, "control.supply.setpoint_c: missing"),
        (
            {"supply": {"setpoint_c": 32, "sensor": "cdu", "valve": "cdu", "cdu": "cdu"}},
            "control.supply: has both valve and cdu",
        ),
        (
            {"supply": {"setpoint_c": 32, "sensor": "cdu", "cdu": "cdu"}},
            "control.supply.cdu: cdu (profile one_cdu) takes no set-point",
        ),
    )
    for control, text in cases:
        error = raises(ConfigError, load, one_device(control), {"one_cdu": cdu_profile()})
        eq(text in str(error), True)
    for section in ("cooling", "safety", "throttle"):
        raw = one_device({"supply": {"sensor": "cdu"}})
        raw[section] = {}
        error = raises(ConfigError, load, raw, {"one_cdu": cdu_profile()})
        eq(section in str(error), True)


def test_power_limits_need_the_supply_temperature_and_a_device_that_cools():
    loads = [load_section("gpu1", port="bmc", path=PATH % "gpu1")]
    for supply, is_valid in (
        ({"setpoint_c": 32, "sensor": "cdu", "cdu": "cdu"}, True),
        ({"setpoint_c": 32, "cdu": "cdu"}, False),
        ({"sensor": "cdu"}, False),
        ({}, False),
    ):
        raw = one_device({"supply": supply})
        raw["throttle"] = throttle_section(loads=loads)
        if is_valid:
            eq(load(raw, {"one_cdu": self_controlled()}).components[0][0], "throttle")
            continue
        error = str(raises(ConfigError, load, raw, {"one_cdu": self_controlled()}))
        eq("control.supply.sensor" in error, True)


def test_set_point_outside_the_limits_of_the_cdu():
    control = {"supply": {"setpoint_c": 45, "sensor": "cdu", "cdu": "cdu"}}
    raw = self_controlled()
    raw["points"][5]["limits"] = [200, 400]
    error = raises(ConfigError, load, one_device(control), {"one_cdu": raw})
    eq("45 is outside what profile one_cdu lets be written, 20.0 to 40.0" in str(error), True)


def test_shared_unit_is_stated_and_writes_other_registers():
    raw = one_device(all_roles())
    second = {"name": "b", "bus": "bus", "unit": 7, "profile": "other", "part_of": "cdu"}
    raw["devices"].append(second)
    other = cdu_profile()
    files = {"one_cdu": cdu_profile(), "other": other}
    error = raises(ConfigError, load, raw, files)
    eq("devices[1].unit: writes register 4 of unit 7, as cdu does" in str(error), True)
    for i in (4, 5):
        other["points"][i]["address"] += 10
    load(raw, files)
    second["part_of"] = "b"
    error = raises(ConfigError, load, raw, files)
    eq("devices[1].unit: unit 7 on bus bus is cdu already" in str(error), True)


def test_roles_of_a_profile():
    raw = cdu_profile()
    eq(check_profile(raw, "p"), [])
    raw["fan"] = {"setpoint": "PumpSpeedControlPercent"}
    errors = check_profile(raw, "p")
    eq(errors, ["p: fan: PumpSpeedControlPercent is written by the role pump too"])
    raw = self_controlled()
    raw["cdu"]["dp"] = "SupplyTemperatureControlCelsius"
    eq(check_profile(raw, "p"), ["p: cdu: SupplyTemperatureControlCelsius is in Cel, not in kPa"])
    raw["cdu"] = {}
    eq(check_profile(raw, "p"), ["p: cdu: has no set-point: supply, dp or both"])
    raw = cdu_profile()
    raw["pump"]["run"] = []
    eq(check_profile(raw, "p"), ["p: pump: has only one of run and stop"])
    eq(profiles()["drive"]["pump"]["setpoint"] != "", True)
