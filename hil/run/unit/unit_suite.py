# SPDX-License-Identifier: Apache-2.0
"""The acceptance suite of one's own unit: scenarios that follow from its configuration.

Does not run; see `hil.run.unit.twin_run` and `hil.run.unit.real_unit`. A scenario exists only if
the unit has its roles: a unit that only monitors has no control to test. On real devices only the
scenarios run that disturb nothing: the bench cuts no bus and raises no alarm of a real CDU.
"""

from collections.abc import Iterator
from dataclasses import replace

from hil.bench.testbed_settings import TestbedSettings
from hil.measure.several import ROLES
from hil.run.unit.twin_loads import SECTION, plan_limits
from hil.run.unit.unit_file import UnitFile
from hil.scenario.model import Expectation, Scenario, ScenarioEvent
from hil.scenario.suite import Suite
from hil.scenario.toml_writer import write_toml

TAKEOVER = "unit-takeover"
"""Name of the scenario with both controllers."""
_START_S = 20.0
"""After this time all devices are identified and polled, and start-up alarms have ended."""
_LOAD_KW, _HIGH_KW = 60.0, 90.0
_OVERSHOOT_K = 3.0
_MAX_ALARM_BITS = 48  # of one scenario
_DEVICE_ALARMS = ("device_alarm", "pump_trip")


def build_suite(unit: UnitFile, is_real: bool, real_s: int = 60) -> Suite:
    """Return the suite; `real_s`: duration of each scenario on real devices, s."""
    found = list(_harmless(unit, real_s if is_real else 60))
    if not is_real:
        found += _disturbing(unit)
    control = unit.raw["control"]
    actuators = {"supply": ("valve", "cdu"), "dp": ("pumps", "cdu")}
    roles = [
        name if _loop(unit, name, *actuators[name]) else f"{name} only monitored"
        for name in actuators
        if "sensor" in control.get(name, {})
    ]
    title = f"Acceptance of the unit {unit.raw['site']}/{unit.raw['unit']}: {', '.join(roles)}"
    return Suite("acceptance", title, tuple(_with_text(scenario) for scenario in found))


def _with_text(scenario: Scenario) -> Scenario:
    return replace(scenario, text=write_toml(scenario))


def _scenario(
    name: str,
    title: str,
    seconds: float,
    expectations: list[Expectation],
    events: tuple[ScenarioEvent, ...] = (),
) -> Scenario:
    return Scenario(
        name, title, float(seconds), TestbedSettings(), events, tuple(expectations), realtime=True
    )


def _zero(measure: str, requirement: str, from_s: float = _START_S) -> Expectation:
    return Expectation(measure, max=0.0, from_s=from_s, requirement=requirement)


def _never(measure: str) -> Expectation:
    """An alarm that is on at any time of the run fails it, also before the start-up has ended."""
    return Expectation(measure, min=1.0, never=True)


def _ever(measure: str, requirement: str, from_s: float, until_s: float) -> Expectation:
    return Expectation(
        measure, min=1.0, from_s=from_s, until_s=until_s, ever=True, requirement=requirement
    )


def _loop(unit: UnitFile, loop: str, *keys: str) -> bool:
    return any(key in unit.raw["control"].get(loop, {}) for key in keys)


def _harmless(unit: UnitFile, seconds: int) -> Iterator[Scenario]:
    """Yield the scenarios that only read, and let the loops control.

    They inject nothing, so none of them shows that a requirement on a fault is met.
    """
    quiet = [_never(f"alarm:{code}") for code in _DEVICE_ALARMS] + [_zero("state", "")]
    checks = [*quiet, _zero("devices_lost", "")]
    if _loop(unit, "supply", "sensor"):
        checks.append(Expectation("supply_c", "Cel", min=5.0, max=60.0, from_s=_START_S))
    if _loop(unit, "dp", "sensor"):
        checks.append(Expectation("dp_kpa", "kPa", min=-5.0, max=1000.0, from_s=_START_S))
    yield _scenario("unit-readings", "all devices answer, no alarm is active", seconds, checks)
    codes = ("write_refused", "foreign_master", "identity")
    checks = [*quiet, *(_zero(f"alarm:{code}", "") for code in codes)]
    loops = []
    if _loop(unit, "supply", "valve", "cdu"):
        loops.append(Expectation("supply_error_k", "K", max=3.0, from_s=seconds / 2))
    if _loop(unit, "dp", "pumps", "cdu"):
        loops.append(Expectation("dp_error_pct", "%", max=15.0, from_s=seconds / 2))
    if loops:
        title = "the loops hold their set-points, and the devices take the outputs"
        yield _scenario("unit-control", title, seconds, [*checks, *loops])


def _disturbing(unit: UnitFile) -> Iterator[Scenario]:
    """Yield the scenarios with faults, for emulated twins only."""
    if _loop(unit, "supply", "valve", "cdu"):
        yield _load_step(unit)
    for device in unit.raw["devices"]:
        yield _silent_device(unit, device["name"])
    for bus in sorted({device["bus"] for device in unit.raw["devices"]}):
        yield _scenario(
            f"unit-bus-lost/{bus}",
            f"bus {bus} is unplugged and returns",
            120,
            [
                _ever("alarm:bus_lost", "BUS-2", 30.0, 50.0),
                _zero("alarm:bus_lost", "BUS-2", 80.0),
                _zero("state", "BUS-2", 100.0),
            ],
            (ScenarioEvent(30.0, "unplug", for_s=20.0, text=bus),),
        )
    for name in _written_devices(unit):
        yield _restart_device(unit, name)
        yield from _foreign_writes(unit, name)
        if (
            name not in unit.raw["control"].get("dp", {}).get("pumps", [])[1:]
        ):  # the lag pump stands
            yield _refused_writes(name)
    yield from _alarm_bits(unit)
    yield from _load_limit(unit)
    if "redundancy" in unit.whole:
        yield _takeover()
    yield _scenario(
        "unit-agent-restart",
        "the agent restarts, and continues without an alarm",
        90,
        [_zero("state", "COOL-4", 60.0), _zero("devices_lost", "COOL-4", 60.0)],
        (ScenarioEvent(30.0, "restart_agent"),),
    )


def _takeover() -> Scenario:
    """A takeover in both directions: each controller in turn loses its power."""
    active, standby = float(ROLES.index("active")), float(ROLES.index("standby"))
    checks = [
        Expectation("writers", max=1.0, requirement="PAIR-1"),
        Expectation("writer_gap_s", "s", max=2.0, from_s=_START_S, requirement="PAIR-1"),
        Expectation("step_pct", "%", max=1.0, from_s=40.0, until_s=50.0, requirement="PAIR-1"),
        Expectation("step_pct", "%", max=1.0, from_s=90.0, until_s=100.0, requirement="PAIR-1"),
        Expectation("takeovers", min=1.0, max=1.0, from_s=_START_S, until_s=39.0),
        Expectation("takeovers", min=3.0, max=3.0, from_s=93.0),
        _is("role:1", active, _START_S, 39.0),
        _is("role:2", active, 43.0, 89.0),
        _is("role:1", standby, 65.0, 89.0),
        _is("role:1", active, 93.0, 130.0),
        _is("role:2", standby, 115.0, 130.0),
    ]
    events = (
        ScenarioEvent(40.0, "power", 1.0, 20.0),
        ScenarioEvent(90.0, "power", 2.0, 20.0),
    )
    title = "each controller of the pair in turn loses its power: the other one takes over in 2 s"
    return _scenario(TAKEOVER, title, 130, checks, events)


def _is(measure: str, value: float, from_s: float, until_s: float) -> Expectation:
    return Expectation(
        measure, min=value, max=value, from_s=from_s, until_s=until_s, requirement="PAIR-1"
    )


def _load_step(unit: UnitFile) -> Scenario:
    checks = [
        Expectation(
            "supply_error_k", "K", max=2.0, from_s=300.0, marginal=0.2, requirement="COOL-1"
        ),
        Expectation("true_supply_c", "Cel", max=45.0, from_s=_START_S, requirement="COOL-1"),
    ]
    if _loop(unit, "dp", "pumps", "cdu"):
        checks.append(
            Expectation("dp_error_pct", "%", max=10.0, from_s=300.0, requirement="COOL-1")
        )
    events = (ScenarioEvent(30.0, "it_load", _LOAD_KW), ScenarioEvent(90.0, "it_load", _HIGH_KW))
    title = f"the load steps from {_LOAD_KW:.0f} to {_HIGH_KW:.0f} kW, the loops hold"
    return _scenario("unit-load-step", title, 420, checks, events)


def _load_limit(unit: UnitFile) -> Iterator[Scenario]:
    """Yield the test of the load limits, if the servers of the loads have a twin."""
    plan = plan_limits(unit.loads)
    if not plan.loads:
        return
    number, pct = float(plan.chassis), plan.pct
    checks = [
        Expectation("loads_limited", min=number, from_s=60.0, until_s=360.0, ever=True),
        Expectation("load_limit_pct", "%", max=pct, from_s=60.0, until_s=360.0, ever=True),
    ]
    setpoint_c = unit.raw["control"].get("supply", {}).get("setpoint_c", 0.0)
    if setpoint_c + _OVERSHOOT_K <= plan.is_free_c:
        free = Expectation("loads_limited", max=0.0, from_s=_START_S, until_s=60.0)
        checks.insert(0, free)
    event = ScenarioEvent(60.0, "fws_temp", plan.water_c, 300.0)
    title = f"facility water of {plan.water_c:.0f} °C: each server gets a lower limit"
    settings = TestbedSettings(parts=SECTION)
    scenario = _scenario("unit-load-limit", title, 420, checks, (event,))
    yield replace(scenario, settings=settings)


def _silent_device(unit: UnitFile, name: str) -> Scenario:
    checks = [
        _ever(f"alarm:device_lost:{name}", "BUS-2", 30.0, 55.0),
        _zero(f"alarm:device_lost:{name}", "BUS-2", 90.0),
        _zero("state", "BUS-2", 110.0),
    ]
    checks += [
        _ever(f"alarm:{loop}_sensor", "SAFE-1", 30.0, 60.0)
        for loop in ("supply", "dp")
        if unit.raw["control"].get(loop, {}).get("sensor") == name
    ]
    event = ScenarioEvent(30.0, "silent", for_s=30.0, text=name)
    title = f"{name} is silent for 30 s and answers again"
    return _scenario(f"unit-device-lost/{name}", title, 130, checks, (event,))


def _written_devices(unit: UnitFile) -> list[str]:
    """Return the devices that the loops write to, in the order of the configuration."""
    supply, dp = (unit.raw["control"].get(loop, {}) for loop in ("supply", "dp"))
    written = {supply.get("valve"), supply.get("cdu"), dp.get("cdu"), *dp.get("pumps", [])}
    return [device["name"] for device in unit.raw["devices"] if device["name"] in written]


def _restart_device(unit: UnitFile, name: str) -> Scenario:
    """A restarted device has its default values: the agent must write its outputs again."""
    checks = [_zero("state", "SAFE-1", 110.0), _zero("alarm:write_refused", "SAFE-1", 110.0)]
    supply, dp = (unit.raw["control"].get(loop, {}) for loop in ("supply", "dp"))
    if name in (supply.get("valve"), *dp.get("pumps", [])):
        checks.append(
            Expectation("output_error_pct", "%", max=2.0, from_s=45.0, requirement="SAFE-1")
        )
    cdu = unit.compiled[name].cdu
    for loop, key in ((supply, "supply"), (dp, "dp")):
        if loop.get("cdu") == name:
            setpoint = loop["setpoint_c" if key == "supply" else "setpoint_kpa"]
            checks.append(
                Expectation(
                    f"shown:{name}.{cdu[key]}",
                    min=setpoint - 0.11,
                    max=setpoint + 0.11,
                    from_s=90.0,
                    requirement="SAFE-1",
                )
            )
    title = f"{name} restarts with its default values, and gets its outputs again"
    event = ScenarioEvent(30.0, "reboot", text=name)
    return _scenario(f"unit-device-restart/{name}", title, 130, checks, (event,))


def _foreign_writes(unit: UnitFile, name: str) -> Iterator[Scenario]:
    """Yield a scenario for each output of a device: another master changes it once."""
    supply, dp = (unit.raw["control"].get(loop, {}) for loop in ("supply", "dp"))
    profile = unit.compiled[name]
    points = []
    if supply.get("valve") == name:
        points.append(profile.valve["setpoint"])
    if name in dp.get("pumps", [])[:1]:  # the lag pump stands
        points.append(profile.pump["setpoint"])
    for point in points:
        checks = [
            _ever(f"alarm:foreign_master:{name}", "SAFE-1", 60.0, 75.0),
            Expectation("output_error_pct", "%", max=2.0, from_s=75.0, requirement="SAFE-1"),
        ]
        event = ScenarioEvent(60.0, "foreign_write", text=f"{name}.{point}")
        title = f"another master writes {point} of {name}: the agent reports and restores it"
        yield _scenario(f"unit-foreign-write/{name}-{point}", title, 100, checks, (event,))


def _refused_writes(name: str) -> Scenario:
    checks = [
        _ever(f"alarm:write_refused:{name}", "SAFE-1", 30.0, 130.0),
        _zero("alarm:write_refused", "SAFE-1", 170.0),
    ]
    events = (
        ScenarioEvent(30.0, "ignore_writes", for_s=100.0, text=name),
        ScenarioEvent(35.0, "reboot", text=name),
        ScenarioEvent(45.0, "it_load", _HIGH_KW),
    )
    title = f"{name} confirms writes without effect: the agent reports it"
    return _scenario(f"unit-writes-refused/{name}", title, 180, checks, events)


def _alarm_bits(unit: UnitFile) -> Iterator[Scenario]:
    """Yield a scenario for each device with alarm bits: each bit in turn is seen and ends."""
    for device in unit.raw["devices"]:
        name = device["name"]
        bits = [b.name for b in unit.compiled[name].bits if b.alarm and b.poll != "never"]
        for first in range(0, len(bits), _MAX_ALARM_BITS):
            yield _alarm_bits_of(name, bits, first)


def _alarm_bits_of(device: str, bits: list[str], first: int) -> Scenario:
    """Return the scenario of the next bits from the place `first` on."""
    part = bits[first : first + _MAX_ALARM_BITS]
    events, checks = [], []
    for i, bit in enumerate(part):
        at_s = _START_S + 15.0 * i
        events.append(ScenarioEvent(at_s, "flag", None, 8.0, f"{device}.{bit}"))
        code = f"alarm:device_alarm:{device}.{bit}"
        checks.append(_ever(code, "SAFE-1", at_s, at_s + 15.0))
        checks.append(_zero(code, "SAFE-1", at_s + 25.0))
    seconds = _START_S + 15.0 * len(part) + 30.0
    name, title = f"unit-alarm-bits/{device}", f"each alarm bit of {device}"
    if len(bits) > _MAX_ALARM_BITS:
        title = f"the alarm bits {first + 1} to {first + len(part)} of {len(bits)} of {device}"
        name += f"/{first + 1}"
    return _scenario(name, f"{title}: it is reported, and cleared", seconds, checks, tuple(events))
