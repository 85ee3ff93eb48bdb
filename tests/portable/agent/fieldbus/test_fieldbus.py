"""Polls and writes: what goes out when, what is known of a device, and how little may wait."""

from drivers.modbus.bus import Bus
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import CDU, LAG, LEAD, RUN, STOP, VALVE, Bench, Rig, config
from tests.portable.support.check import eq


def test_a_device_is_polled_once_a_cycle_and_found():
    rig = Rig()
    eq([s.lost for s in rig.agent.fieldbus.stations], [True] * 4)
    rig.run(0.1)  # as soon as the bus is there, not a cycle later
    eq([s.lost for s in rig.agent.fieldbus.stations], [False] * 4)
    before = rig.agent.fieldbus.transactions()
    rig.run(10)
    extra = len(rig.slaves.writes)
    eq((rig.agent.fieldbus.transactions() - before <= 40 + extra, rig.agent.fieldbus.errors()),
       (True, 0))  # fmt: skip
    eq([s.lost for s in rig.agent.fieldbus.stations], [False] * 4)


def test_lost_after_three_silent_cycles_and_back_with_the_first_answer():
    bench = Bench()
    cdu = bench.station("cdu")
    bench.read("cdu", 320, 400, 3000, 2000, 0)
    lost = []
    for _ in range(5):
        bench.silence("cdu")
        lost.append(cdu.lost)
    eq(lost, [False, False, False, True, True])
    eq(bench.fieldbus.lost_buses(), ["bus"])
    bench.read("cdu", 320, 400, 3000, 2000, 0)
    eq((cdu.lost, cdu.silent_cycles, cdu.answered_at), (False, 0, bench.now))
    eq(bench.fieldbus.lost_buses(), [])


def test_only_the_bus_whose_devices_are_all_silent_is_lost():
    raw = config()
    raw["buses"]["other"] = "serial:/dev/other"
    raw["devices"][3]["bus"] = "other"
    bench = Bench(raw)
    bench.read("cdu", 320, 400, 3000, 2000, 0)
    eq(bench.fieldbus.lost_buses(), ["other"])
    bench.read("lag", 0, 0, 0, 0)
    eq(bench.fieldbus.lost_buses(), [])


def test_a_slow_bus_never_grows_its_queue():
    """No answer comes for a minute; the loops' wishes change every cycle meanwhile."""
    raw = config()
    raw["bus_timeout_ms"] = 5000
    rig = Rig(raw)
    rig.run(3)
    for unit in (LEAD, LAG):
        rig.slaves.silent.add(unit)
    most = 0
    for i in range(120):
        rig.set(CDU, 2, 2500 + 20 * (i % 40))  # the dP wanders, so the speed does
        rig.run(0.5)
        most = max(most, rig.agent.fieldbus.buses[0].waiting)
    stations = len(rig.agent.fieldbus.stations)
    assert most <= 2 * stations, most
    for station in rig.agent.fieldbus.stations:
        assert len(station._waiting) == 1


def test_of_a_device_s_writes_one_is_on_its_way_and_the_last_wish_wins():
    bench = Bench()
    valve = bench.station("valve")
    for raw in (1000, 2000, 3000, 4000):
        valve.want([(0, raw)])
    eq(len(bench.bus._urgent), 1)
    eq([job.pdu[-2:] for job in bench.written(False)], [bytes((1000 >> 8, 1000 & 255))])
    eq([job.pdu[-2:] for job in bench.written()], [bytes((4000 >> 8, 4000 & 255))])
    eq((bench.bus._urgent, valve._writing), ([], 0))


def test_a_stop_waits_for_no_other_write():
    bench = Bench()
    lead = bench.station("lead")
    lead.want([(0, RUN), (1, 8000)])
    lead.want([(0, STOP), (1, 0)], stop=True)
    eq([job.pdu[-4:] for job in bench.bus._urgent], [bytes((STOP >> 8, STOP & 255, 0, 0))])
    for speed in (1000, 2000):
        lead.want([(0, RUN), (1, speed)])
        lead.want([(0, STOP), (1, 0)], stop=True)
    eq(len(bench.bus._urgent), 1)  # stop upon stop: no queue grows
    bench.written()
    eq([job.level for job in bench.bus._urgent], [2])
    eq(len(bench.written()), 1)
    eq(bench.bus._urgent, [])


def test_what_a_lost_device_missed_is_not_written_before_the_loops_have_decided():
    bench = Bench()
    valve = bench.station("valve")
    valve.want([(0, 1000)])
    bench.read("valve", 1000, 1000)
    for _ in range(4):
        bench.silence("valve")
    assert valve.lost
    valve.want([(0, 2000)])
    bench.written(False)
    writes = []
    for _ in range(4):
        bench.read("valve", 1000, 1000)
        writes.append(len(bench.bus._urgent))
    eq(writes, [0, 0, 1, 0])  # in the fourth round it has been carried out
    bench.read("valve", 2000, 2000)
    eq((valve.stubborn, bench.bus._urgent), (False, []))


def test_the_same_wish_is_not_written_twice():
    rig = Rig()
    rig.run(5)
    rig.slaves.writes = []
    rig.run(20)
    eq(rig.slaves.writes, [])


def test_a_write_that_the_device_does_not_show_is_written_again_and_flagged():
    for fault in ("deaf", "refusing"):
        rig = Rig()
        rig.run(6)
        getattr(rig.slaves, fault).add(VALVE)
        rig.writes(VALVE)
        rig.set(CDU, 0, 1001)  # implausible: the safe opening is wanted
        rig.run(7)
        assert len(rig.writes(VALVE)) >= 3
        assert "write_refused:valve" not in rig.codes()
        rig.run(7)
        assert "write_refused:valve" in rig.codes(), rig.codes()
        for values in rig.writes(VALVE):
            eq(values, [6000])
        getattr(rig.slaves, fault).remove(VALVE)
        rig.run(4)
        assert "write_refused:valve" not in rig.codes()
        eq(rig.slaves.registers[VALVE][0], 6000)


def test_a_device_that_takes_nothing_is_flagged_though_the_wish_changes():
    bench = Bench()
    valve = bench.station("valve")
    flagged = []
    for i in range(14):
        valve.want([(0, 1000 + 100 * i)])
        bench.read("valve", 777, 777)
        flagged.append(valve.stubborn)
    eq(flagged, [False] * 9 + [True] * 5)
    bench.read("valve", 2300, 777)
    assert not valve.stubborn


def test_a_set_point_that_changes_by_itself_is_put_back():
    rig = Rig()
    rig.run(6)
    before = list(rig.slaves.registers[VALVE])
    rig.set(VALVE, 0, 9999)
    rig.run(4)
    assert abs(rig.slaves.registers[VALVE][0] - before[0]) < 200, rig.slaves.registers[VALVE]


def test_a_closed_bus_loses_no_station_for_ever():
    bench = Bench()
    bench.cycle()
    assert not bench.fieldbus.settled()
    bench.bus.event("closed", SECOND)
    bench.fieldbus.collect(bench.bus)
    assert bench.fieldbus.settled()
    bench.cycle()  # nothing can be asked; nothing may hang
    assert bench.fieldbus.settled()
    bench.bus.event("opened", 2 * SECOND)
    bench.cycle()
    eq(bench.bus.waiting, 4)
    assert type(bench.bus) is Bus
