# SPDX-License-Identifier: Apache-2.0
"""Supervisor: alarms with correct codes, one unit state, no alarm during the start."""

from tests.portable.support.agent_rig import CDU, LAG, LEAD, VALVE, AgentRig, FieldbusRig, config
from tests.portable.support.check import eq

TRIP = 8


def start_rig(raw=None):
    rig = AgentRig(raw)
    rig.run(8)
    eq((rig.alarm_codes(), rig.agent.supervisor.state), ([], "normal"))
    return rig


def test_no_alarm_in_the_first_seconds():
    rig = AgentRig()
    rig.devices.silent = {CDU, VALVE, LEAD, LAG}
    for _ in range(50):
        rig.run(0.1)
        eq(rig.alarm_codes(), [])
    eq(rig.agent.supervisor.state, "safe")
    rig.run(5)
    assert "bus_lost:bus" in rig.alarm_codes(), rig.alarm_codes()


def test_each_condition_sets_alarm_and_state_and_clears():
    def registers(unit, register, wrong, right):
        return (
            lambda rig: rig.set(unit, register, wrong),
            lambda rig: rig.set(unit, register, right),
        )

    def silence(*units):
        return (
            lambda rig: rig.devices.silent.update(units),
            lambda rig: [rig.devices.silent.remove(unit) for unit in units],
        )

    cases = (
        (registers(CDU, 0, 1001, 320), "safe", ["supply_sensor"]),
        (registers(CDU, 2, 16001, 3000), "degraded", ["dp_sensor"]),
        (registers(CDU, 0, 401, 320), "degraded", ["supply_high"]),
        (registers(CDU, 4, 1, 0), "degraded", ["device_alarm:cdu.Leak"]),
        (
            registers(LEAD, 2, TRIP, 0),
            "degraded",
            ["device_alarm:lead.Tripped", "pump_trip:lead"],
        ),
        (silence(LAG), "degraded", ["device_lost:lag"]),
        (silence(VALVE), "degraded", ["device_lost:valve"]),
        (silence(CDU), "safe", ["device_lost:cdu", "dp_sensor", "supply_sensor"]),
    )
    rig = start_rig()
    for (spoil, mend), state, codes in cases:
        spoil(rig)
        rig.run(9)
        eq((sorted(rig.alarm_codes()), rig.agent.supervisor.state), (codes, state))
        mend(rig)
        rig.run(8)  # the bus probes an offline unit at least every 6 s
        eq((rig.alarm_codes(), rig.agent.supervisor.state), ([], "normal"))


def test_lost_bus_raises_alarms_for_bus_and_devices():
    rig = start_rig()
    rig.devices.silent = {CDU, VALVE, LEAD, LAG}
    rig.run(12)
    lost = ["device_lost:" + name for name in ("cdu", "lag", "lead", "valve")]
    eq(sorted(rig.alarm_codes()), ["bus_lost:bus"] + lost + ["dp_sensor", "supply_sensor"])
    eq(rig.agent.supervisor.state, "safe")


def test_standing_alarm_is_raised_once():
    rig = start_rig()
    rig.set(CDU, 0, 1001)
    rig.run(3)
    raised = rig.agent.alarms.active[0]
    for flag in (1, 0, 1, 0):
        rig.set(CDU, 4, flag)
        rig.run(3)
    assert rig.agent.alarms.active[0] is raised
    lines = [line for line in rig.console if "supply_sensor" in line]
    text = "supply temperature is not known; valve at its safe opening"
    eq(lines, ["alarm raised supply_sensor: " + text])
    eq(len(rig.console), 5)


def test_device_names_do_not_affect_alarms():
    """Device names equal to condition codes; each condition must still be raised once."""
    raw = config()
    for device, name in zip(raw["devices"], ("sensor", "limit", "lead", "lag")):
        device["name"] = name
    raw["control"]["supply"].update({"sensor": "sensor", "valve": "limit"})
    raw["control"]["dp"]["sensor"] = "sensor"
    rig = start_rig(raw)
    rig.devices.silent.add(VALVE)
    rig.run(9)
    eq(rig.alarm_codes(), ["device_lost:limit"])
    rig.devices.silent = {CDU}
    rig.run(9)
    eq(sorted(rig.alarm_codes()), ["device_lost:sensor", "dp_sensor", "supply_sensor"])


def test_alarm_bits_of_a_lost_device_stay():
    """A device that is not read has not shown that its alarm is over."""
    rig = start_rig()
    rig.set(CDU, 4, 1)
    rig.run(2)
    rig.devices.silent.add(CDU)
    rig.run(9)
    assert "device_alarm:cdu.Leak" in rig.alarm_codes()
    assert "device_lost:cdu" in rig.alarm_codes()
    rig.devices.silent.clear()
    rig.set(CDU, 4, 0)
    rig.run(40)
    eq(rig.alarm_codes(), [])


def test_two_pumps_tripped_are_two_alarms():
    rig = start_rig()
    for unit in (LEAD, LAG):
        rig.set(unit, 2, TRIP)
    rig.run(3)
    trips = [code for code in rig.alarm_codes() if code.startswith("pump_trip")]
    eq(trips, ["pump_trip:lead", "pump_trip:lag"])
    rig.set(LAG, 2, 0)
    rig.run(3)
    trips = [code for code in rig.alarm_codes() if code.startswith("pump_trip")]
    eq(trips, ["pump_trip:lead"])


def test_supervisor_starts_in_safe_state():
    eq(FieldbusRig().fieldbus.lost_buses(), ["bus"])
