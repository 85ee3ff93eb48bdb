# SPDX-License-Identifier: Apache-2.0
"""Each configuration error is reported in one line; missing sections get their defaults."""

import json

from agent.config.load import load
from agent.core.config_records import round_to_thousandth, to_thousandths
from agent.core.errors import ConfigError
from tests.portable.support.agent_rig import RigLcg, config, minimal_config, profiles
from tests.portable.support.check import EPSILON, eq, raises


def config_error(change, raw=None):
    """Return the error text of `load` for a valid configuration after `change`."""
    raw = raw or config()
    change(raw)
    return str(raises(ConfigError, load, raw, profiles()))


def set_value(path, value):
    """Return a change: `value` at `path` (names and numbers between dots)."""

    def change(raw):
        at = raw
        steps = [int(step) if step.isdigit() else step for step in path.split(".")]
        for step in steps[:-1]:
            at = at[step]
        at[steps[-1]] = value

    return change


def test_valid_configuration_is_compiled():
    loaded = load(config(), profiles())
    eq((loaded.site, loaded.unit), ("s1", "u1"))
    eq((loaded.tick_us, loaded.tick_offset_us, loaded.ticks_per_cycle), (100_000, 0, 10))
    eq((loaded.stale_us, loaded.bus_timeout_us), (5_000_000, 50_000))
    eq([(d.name, d.bus, d.unit, d.profile.model) for d in loaded.devices][3][:3], ("lag", "bus", 4))
    eq((loaded.supply.sensor, loaded.supply.actuators), ("cdu", ["valve"]))
    eq(loaded.pressure.actuators, ["lead", "lag"])
    eq(str(loaded.broker), "tcp:broker:1883")


def test_missing_sections_get_their_defaults():
    loaded = load(minimal_config(), profiles())
    eq((loaded.receiver, loaded.broker, loaded.status_store), (None, None, None))
    eq((loaded.supply_max_c, loaded.stale_us, loaded.bus_timeout_us), (40.0, 5_000_000, 200_000))
    eq((loaded.ticks_per_row, loaded.telemetry_queue_rows), (10, 120))
    eq((loaded.receiver_latency_us, loaded.drift_ppb), (0, 50_000))
    eq((loaded.keepalive_s, loaded.username, loaded.password), (30, None, None))
    eq((loaded.supply.min_pct, loaded.supply.max_pct, loaded.supply.safe_pct), (5.0, 100.0, 60.0))
    eq((loaded.pressure.min_pct, loaded.pressure.safe_pct), (25.0, 80.0))


def test_each_error_is_one_line_with_its_path():
    cases = (
        ("site", 7, "site: 7 is not a text"),
        ("site", "a b", "site: 'a b' is no name: 1 to 32 of a-z"),
        ("unit", "x\n", "unit: 'x\\n' holds a control character"),
        ("version", 2, "version: 2 is not one of 1"),
        ("control.tick_ms", "100", "control.tick_ms: '100' is not a whole number"),
        ("control.tick_ms", 5, "control.tick_ms: 5 is outside 20 to 1000"),
        ("control.tick_ms", 30, "control.tick_ms: 30 does not divide 1000"),
        ("control.cycle_ms", 1050, "control.cycle_ms: 1050 is not 4 or more times tick_ms (100)"),
        ("control.cycle_ms", 300, "control.cycle_ms: 300 is not 4 or more times tick_ms (100)"),
        ("control.slot_ms", 100, "control.slot_ms: 100 is not less than tick_ms (100)"),
        ("control.supply.setpoint_c", 99, "control.supply.setpoint_c: 99 is outside 15 to 45"),
        ("control.supply.setpoint_c", float("nan"), "control.supply.setpoint_c: nan is outside"),
        ("control.supply.min_pct", 100, "control.supply.min_pct: 100 is not below max_pct"),
        ("control.dp.max_pct", 20, "control.dp.min_pct: 25 is not below max_pct"),
        ("control.supply.sensor", "valve", "control.supply.sensor: valve (profile valve) reads no"),
        ("control.supply.sensor", "nix", "control.supply.sensor: no device is named nix"),
        ("control.supply.valve", "lead", "control.supply.valve: lead (profile drive) is no valve"),
        ("control.dp.sensor", "valve", "control.dp.sensor: valve (profile valve) reads neither"),
        ("control.dp.pumps", ["valve"], "control.dp.pumps[0]: valve (profile valve) is no pump"),
        ("control.dp.pumps", ["lag", "lag"], "control.dp.pumps[1]: lag is named twice"),
        ("control.dp.pumps", [], "control.dp.pumps: 0 entries; 1 to 2 are allowed"),
        ("control.supply.gain", 1, "control.supply.gain: unknown key"),
        ("control.supply.setpoint", 1, "control.supply.setpoint: unknown key (did you mean setp"),
        ("recevier", {}, "recevier: unknown key (did you mean receiver?)"),
        ("receiver.port", "gps:/dev/x", "receiver.port: address 'gps:/dev/x': begins with none of"),
        ("receiver.port", "store:/x", "receiver.port: a port of kind store is not possible here"),
        ("receiver.port", "serial:/dev/x?baud=9", "receiver.port: address 'serial:/dev/x?baud=9'"),
        ("receiver", {}, "receiver.port: missing (address of its port"),
        ("receiver.port", "serial:/dev/bus", "buses.bus: serial:/dev/bus is already the port of"),
        ("buses", {}, "buses: 0 entries; 1 to 4 are allowed"),
        (
            "buses.two",
            "serial:/dev/bus?baud=9600",
            "buses.two: serial:/dev/bus is already the",
        ),
        ("buses.Big", "serial:/dev/b", "buses: 'Big' is no name"),
        ("buses.bus", "store:/x", "buses.bus: a port of kind store is not possible here; use"),
        ("broker.address", "tcp:host", "broker.address: address 'tcp:host': is not HOST:PORT"),
        ("broker.password", "x", "broker.password: needs broker.username too"),
        ("state", "/var/lib/x", "state: address '/var/lib/x': begins with none of"),
        ("devices.1.name", "cdu", "devices[1].name: cdu is the name of devices[0] too"),
        ("devices.1.unit", 1, "devices[1].unit: unit 1 on bus bus is cdu already"),
        ("devices.1.unit", 0, "devices[1].unit: 0 is outside 1 to 255"),
        ("devices.1.unit", 248, "devices[1].unit: 248 is above 247; units=255 in the address of"),
        ("devices.1.bus", "nix", "devices[1].bus: no bus is named nix"),
        ("devices.1.profile", "nix", "devices[1].profile: no profile is named nix; there are cdu"),
        ("telemetry.period_ms", 150, "telemetry.period_ms: 150 is no multiple of tick_ms (100)"),
    )
    for path, value, text in cases:
        message = config_error(set_value(path, value))
        assert message.startswith(text), (path, message)
        # Some errors cause a second one.
        assert "\n" not in message or path in ("control.tick_ms", "devices.1.name"), message


def test_stale_limit_covers_one_lost_reply():
    message = config_error(set_value("control.cycle_ms", 3000))
    eq(
        message,
        "limits.stale_s: 5 s is less than two cycles (6000 ms); one lost reply would be too much",
    )


def test_port_with_two_spellings_is_detected():
    raw = config()
    raw["buses"] = {"a": "tcp:plc:502", "bus": "tcp:plc:0502"}
    eq(
        config_error(set_value("site", "s"), raw),
        "buses.bus: tcp:plc:502 is already the port of buses.a",
    )


def test_all_errors_are_reported_together():
    def change(raw):
        raw["receiver"]["port"] = "serial:/dev/bus"
        raw["devices"][1]["name"] = "cdu"
        raw["control"]["tick_ms"] = 30
        raw["control"]["dp"]["pumps"] = ["nix"]
        raw["state"] = "tcp:host:1"

    lines = config_error(change).split("\n")
    paths = sorted([line.split(":")[0] for line in lines])
    expected = ["buses.bus", "control.dp.pumps[0]", "control.supply.valve", "control.tick_ms"]
    eq(paths, expected + ["devices[1].name", "state", "telemetry.period_ms"])


def test_device_with_invalid_profile_is_not_reported_as_missing():
    eq(
        config_error(set_value("devices.0.profile", "nix")),
        "devices[0].profile: no profile is named nix; there are cdu, drive, meter, valve",
    )


def test_invalid_profile_is_named():
    raw, wrong = config(), profiles()
    wrong["valve"]["points"][0]["type"] = "u17"
    message = str(raises(ConfigError, load, raw, wrong))
    assert message.startswith("devices[1].profile: valve: "), message


def test_loop_outputs_are_checked_against_the_profile():
    narrow = profiles()
    narrow["valve"]["points"][0]["limits"] = [1000, 9000]
    lines = str(raises(ConfigError, load, config(), narrow)).split("\n")
    expected = "control.supply.%s: %d is outside what profile valve lets be written, 10 to 90 %%"
    eq(lines, [expected % ("min_pct", 5), expected % ("max_pct", 100)])
    raw = config()
    raw["control"]["supply"].update({"min_pct": 10, "max_pct": 90})
    load(raw, narrow)
    narrow = profiles()
    narrow["drive"]["points"][1]["limits"] = [5000, 20000]
    message = str(raises(ConfigError, load, config(), narrow))
    assert message.startswith("control.dp: profile drive does not let 0 be written"), message


def test_numbers_are_the_same_floats_on_both_interpreters():
    lcg = RigLcg(7)
    for _ in range(300):
        count = lcg.below(400_000)
        text = "%d.%03d" % (count // 1000, count % 1000)
        eq(round_to_thousandth(json.loads(text)), count / 1000)
        eq(round_to_thousandth(json.loads("-" + text)), -count / 1000)
        if EPSILON < 1e-9:  # 32 bits hold no half of a thousandth of such a large number
            eq(to_thousandths(json.loads(text + "5")), count + 1)
    halves = (("0.0005", 1), ("5.0005", 5001), ("2.0015", 2002), ("-5.0005", -5001))
    for text, count in halves if EPSILON < 1e-9 else ():
        eq(to_thousandths(json.loads(text)), count)
    raw = config()
    raw["limits"]["stale_s"] = json.loads("2.002")
    raw["receiver"]["drift_ppm"] = json.loads("0.7")
    raw["receiver"]["latency_ms"] = json.loads("123.457")
    loaded = load(raw, profiles())
    eq((loaded.stale_us, loaded.drift_ppb, loaded.receiver_latency_us), (2_002_000, 700, 123_457))


def test_loading_does_not_change_its_input():
    raw = config()
    before = sorted(raw), sorted(raw["control"]["supply"]), sorted(raw["limits"])
    load(raw, profiles())
    eq((sorted(raw), sorted(raw["control"]["supply"]), sorted(raw["limits"])), before)
