"""Causes become alarms with the right names, and one state; nothing is raised at the start."""

from tests.portable.support.agent_rig import CDU, LAG, LEAD, VALVE, Bench, Rig, config
from tests.portable.support.check import eq

TRIP = 8


def calm(raw=None):
    rig = Rig(raw)
    rig.run(8)
    eq((rig.codes(), rig.agent.supervisor.state), ([], "normal"))
    return rig


def test_nothing_is_raised_in_the_first_seconds():
    rig = Rig()
    rig.slaves.silent = {CDU, VALVE, LEAD, LAG}
    for _ in range(50):
        rig.run(0.1)
        eq(rig.codes(), [])
    eq(rig.agent.supervisor.state, "safe")
    rig.run(5)
    assert "bus_lost:bus" in rig.codes(), rig.codes()


def test_each_cause_has_its_alarm_its_state_and_its_end():
    def registers(unit, register, wrong, right):
        return (
            lambda rig: rig.set(unit, register, wrong),
            lambda rig: rig.set(unit, register, right),
        )

    def silence(*units):
        return (
            lambda rig: rig.slaves.silent.update(units),
            lambda rig: [rig.slaves.silent.remove(unit) for unit in units],
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
    rig = calm()
    for (spoil, mend), state, codes in cases:
        spoil(rig)
        rig.run(9)
        eq((sorted(rig.codes()), rig.agent.supervisor.state), (codes, state))
        mend(rig)
        rig.run(8)  # a dead unit is probed every six seconds at the least
        eq((rig.codes(), rig.agent.supervisor.state), ([], "normal"))


def test_a_lost_bus_is_named_with_all_that_hangs_on_it():
    rig = calm()
    rig.slaves.silent = {CDU, VALVE, LEAD, LAG}
    rig.run(12)
    lost = ["device_lost:" + name for name in ("cdu", "lag", "lead", "valve")]
    eq(sorted(rig.codes()), ["bus_lost:bus"] + lost + ["dp_sensor", "supply_sensor"])
    eq(rig.agent.supervisor.state, "safe")


def test_an_alarm_that_stays_is_raised_once_whatever_else_comes_and_goes():
    rig = calm()
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


def test_a_device_may_have_any_name():
    """Names that the causes use for themselves, once."""
    raw = config()
    for device, name in zip(raw["devices"], ("sensor", "limit", "lead", "lag")):
        device["name"] = name
    raw["control"]["supply"].update({"sensor": "sensor", "valve": "limit"})
    raw["control"]["dp"]["sensor"] = "sensor"
    rig = calm(raw)
    rig.slaves.silent.add(VALVE)
    rig.run(9)
    eq(rig.codes(), ["device_lost:limit"])
    rig.slaves.silent = {CDU}
    rig.run(9)
    eq(sorted(rig.codes()), ["device_lost:sensor", "dp_sensor", "supply_sensor"])


def test_the_alarm_bits_of_a_lost_device_are_not_repeated():
    rig = calm()
    rig.set(CDU, 4, 1)
    rig.run(2)
    rig.slaves.silent.add(CDU)
    rig.run(9)
    assert "device_alarm:cdu.Leak" not in rig.codes()
    assert "device_lost:cdu" in rig.codes()


def test_two_pumps_tripped_are_two_alarms():
    rig = calm()
    for unit in (LEAD, LAG):
        rig.set(unit, 2, TRIP)
    rig.run(3)
    trips = [code for code in rig.codes() if code.startswith("pump_trip")]
    eq(trips, ["pump_trip:lead", "pump_trip:lag"])
    rig.set(LAG, 2, 0)
    rig.run(3)
    trips = [code for code in rig.codes() if code.startswith("pump_trip")]
    eq(trips, ["pump_trip:lead"])


def test_the_supervisor_s_bench_starts_safe():
    eq(Bench().fieldbus.lost_buses(), ["bus"])
