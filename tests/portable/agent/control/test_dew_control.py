# SPDX-License-Identifier: Apache-2.0
"""The bound of the valve for a supply that falls towards the dew point, or is not known."""

from agent.control.dew_control import DewControl
from agent.core.actuator import AT_MOST, INTERLOCK, PROTECTION, PUMPS, VALVE
from tests.portable.support.check import eq


class DewArbiter:
    def __init__(self):
        self.claims = []

    def claim(self, *claim):
        self.claims.append(claim)


class DewContext:
    def __init__(self):
        self.arbiters = {VALVE: DewArbiter(), PUMPS: DewArbiter()}


class DewExchanger:
    design_lpm = 150.0

    def tcs_capacity(self, flow_lpm):
        return 60.0 * flow_lpm


class DewCooling:
    """`max_valve_pct`: 1 % for each kilowatt."""

    exchanger = DewExchanger()
    settings = {"supply": {"high_c": 45.0, "min_pct": 5.0}}
    uncertainty_k = 0.0
    setpoint_c = 20.0

    def __init__(self):
        self.dew_limit = self
        self.guard_c = self.dew_c = 15.0
        self.supply_limit_c = 17.0

    def max_valve_pct(self, heat_w, fws_supply_c, supply_c):
        self.supply_limit_c = supply_c
        if fws_supply_c > supply_c:
            return None
        return heat_w / 1000.0


class DewReadings:
    def __init__(self):
        self.supply_c, self.return_c, self.flow_lpm, self.fws_supply_c = 20.0, 30.0, 150.0, 10.0
        self.lowest_supply_c = self.lowest_reading_c = None
        self.low_flow_k = 0.0
        self.valve_pct = 40.0


def claims_at(supply_c, is_proof=False, flow_lpm=150.0):
    """Return the claims of the valve at `supply_c`, 1 s after 20 °C with 90 kW."""
    context, readings = DewContext(), DewReadings()
    control = DewControl(context, DewCooling(), readings)
    readings.flow_lpm = flow_lpm
    control.step(0, 1.0)
    readings.supply_c, readings.return_c = supply_c, supply_c + 2.0
    context.arbiters[VALVE].claims = []
    control.step(0, 1.0, is_proof=is_proof)
    return context.arbiters[VALVE].claims


def test_a_supply_that_falls_to_the_dew_point_limits_the_valve_to_the_present_heat():
    """A flow has come back: the hot coolant opened the valve, and now there is little heat."""
    limit = (PROTECTION, "dew", AT_MOST, 18.0, "dew, falls")
    for is_proof in (False, True):
        eq(claims_at(18.0, is_proof), [limit])
    eq(claims_at(19.5), [])


def test_no_heat_that_was_measured_limits_nothing():
    eq(claims_at(18.0, flow_lpm=None), [])


def test_warm_readings_open_the_valve_although_the_supply_is_unknown():
    """At a closed valve no relation proves the suspect readings: they would stay suspect."""
    closed, limited = (INTERLOCK, "dew", AT_MOST, 0.0, "dew"), "dew, supply unknown"
    for lowest_c, is_closed in ((None, True), (22.9, True), (23.0, False), (40.0, False)):
        context, readings = DewContext(), DewReadings()
        control = DewControl(context, DewCooling(), readings)
        for supply_c in (20.0, 15.1, None):
            context.arbiters[VALVE].claims = []
            readings.supply_c, readings.lowest_reading_c = supply_c, lowest_c
            control.step(0, 1.0)
        claims = context.arbiters[VALVE].claims
        eq((lowest_c, claims == [closed]), (lowest_c, is_closed))
        eq([claim[4] for claim in claims], ["dew" if is_closed else limited])


class DewLimits:
    """The loads. `is_off`: they have drawn no power since an order."""

    is_off = devices_cool = False
    load_w = 1_000_000

    def proven_off(self):
        return self.is_off


def unknown_limits(seconds, is_off=False, heat_k=5.0):
    """Return the limit of the valve for each second after a supply near the dew point is lost."""
    context, readings, limits = DewContext(), DewReadings(), DewLimits()
    control = DewControl(context, DewCooling(), readings)
    control.use_limits(limits)
    limits.is_off = is_off
    found = []
    for supply_c in [20.0, 15.1] + [None] * seconds:
        context.arbiters[VALVE].claims = []
        readings.supply_c = supply_c
        readings.return_c = None if supply_c is None else supply_c + heat_k
        control.step(0, 1.0)
        found.append(min([claim[3] for claim in context.arbiters[VALVE].claims] or [100.0]))
    return found[2:]


def test_a_shut_valve_opens_a_little_once_a_minute_to_see_a_load_that_rose():
    limits = unknown_limits(299)
    eq(set(limits[:59]), {0.0})
    looks = [second for second, limit in enumerate(limits, 1) if limit == 5.0]
    eq(looks, [60 * i + second for i in range(1, 5) for second in range(20)])
    eq(set(limits), {0.0, 5.0})


def test_with_the_limit_by_the_last_heat_the_valve_opens_as_much_at_least():
    limits = unknown_limits(420, heat_k=0.2)[301:]  # 1.8 kW: 1.8 %
    eq({round(limit, 3) for limit in limits}, {1.8, 5.0})
    eq({round(limit, 3) for limit in unknown_limits(420)[301:]}, {45.0})  # it needs no look


def test_loads_that_are_off_need_no_look():
    eq(set(unknown_limits(420, is_off=True)), {0.0})


def little_heat(*supplies, valve_pct=5.0):
    """Return the limit of the valve after each supply, °C, at 9 kW; 0: the guard closes it."""
    context, readings = DewContext(), DewReadings()
    control = DewControl(context, DewCooling(), readings)
    readings.valve_pct = valve_pct
    limits = []
    for supply_c in supplies:
        context.arbiters[VALVE].claims = []
        readings.supply_c, readings.return_c = supply_c, supply_c + 4.0 / 9.0
        control.step(0, 1.0)
        claims = context.arbiters[VALVE].claims
        limits.append(round(min(claim[3] for claim in claims), 3) if claims else None)
    return limits


def test_a_closing_from_the_least_opening_makes_the_limit_for_little_heat_smaller():
    """The valve is larger than configured: this opening passes too much facility water."""
    eq(little_heat(20.0, 15.9, 20.0, 15.9, 20.0), [4.0, 0.0, 2.4, 0.0, 1.44])
    eq(little_heat(20.0, 15.9, 20.0, valve_pct=5.1), [4.0, 0.0, 4.0])
    closings = [15.9, 20.0] * 6
    eq(little_heat(20.0, *closings)[-1], 0.4)  # not less


def test_the_smaller_limit_follows_the_supply():
    eq(little_heat(20.0, 15.9, 21.0, 19.0, 17.5), [4.0, 0.0, 3.124, 1.68, 0.598])
    warm, cold = little_heat(20.0, 15.9, *[21.0] * 100), little_heat(20.0, 15.9, *[19.0] * 100)
    eq((warm[-1], cold[-1]), (3.599, 1.456))
    far = little_heat(20.0, 15.9, *[23.9] * 30, 20.0)  # counts as 2 K
    eq(far[-1], 2.614)
    found = little_heat(20.0, 15.9, 20.0, 15.9, 20.0, 24.0, 24.1)
    eq([found[-2] is None, found[-1]], [False, None])  # the loop has the valve back
    eq(little_heat(20.0, 22.1), [4.0, None])  # without a smaller limit


def test_a_smaller_limit_ends_at_the_whole_one_and_is_never_below_0():
    eq(little_heat(20.0, 15.9, *[22.0] * 300, 20.0)[-1], 4.0)
    eq(little_heat(20.0, 15.9, 20.0, 16.5), [4.0, 0.0, 2.4, 0.0])


class SilentRow:
    """The guard of a row whose bus is silent after 20 s. `step` returns the texts of `dew`."""

    def __init__(self, fws_supply_c=10.0, valve_pct=40.0):
        self.context, self.readings, self.limits = DewContext(), DewReadings(), DewLimits()
        self.control = DewControl(self.context, DewCooling(), self.readings)
        self.control.use_limits(self.limits)
        self.readings.fws_supply_c, self.readings.valve_pct = fws_supply_c, valve_pct
        self.step(20)
        r = self.readings
        r.supply_c = r.return_c = r.flow_lpm = r.fws_supply_c = r.valve_pct = None

    def step(self, count=1):
        for _ in range(count):
            self.context.arbiters[VALVE].claims = []
            found = self.control.step(0, 1.0)
        return [text for _, _, text in found]


NEAR = ["supply is near or below the dew point of 15.0 C"]


def test_no_load_an_unknown_supply_and_a_silent_valve_are_a_dew_alarm():
    """The facility water is colder than the dew point, and nothing warms the supply any more."""
    row = SilentRow()
    eq((row.step(10), row.context.arbiters[VALVE].claims[0][3]), ([], 90.0))
    row.limits.is_off = True
    eq((row.step(), row.context.arbiters[VALVE].claims[0][3]), (NEAR, 0.0))
    row.readings.valve_pct = 40.0  # the valve answers before the supply does
    eq(row.step(), NEAR)
    row.readings.supply_c = 18.0
    eq((row.step(59), row.step()), (NEAR, []))


def test_a_supply_that_is_unknown_for_long_and_a_silent_valve_are_a_dew_alarm():
    """Less flow or less heat would wet the row, and nothing could prevent or show it."""
    row = SilentRow()
    eq([row.step() for _ in range(14)], [[]] * 14)
    suspect = ["supply may be below 15.0 C"]
    eq((row.step(), row.context.arbiters[VALVE].claims[0][3]), (suspect, 90.0))
    row.readings.supply_c = 18.0
    eq(row.step(), [])
    for row in (SilentRow(fws_supply_c=15.1), SilentRow(valve_pct=0.9)):
        eq(row.step(100), [])
    row = SilentRow()
    row.readings.valve_pct = 40.0
    eq(row.step(100), [])
    row = SilentRow(fws_supply_c=None)  # a restart while the bus is silent
    eq((row.step(14), row.step()), ([], suspect))


def test_less_power_of_the_loads_and_a_low_flow_close_the_valve_further():
    """While the supply is unknown. More power does not open it: it can be a false report."""
    for load_w, low_flow_k, valve_pct, supply_c in (
        (200_000, 0.0, 90.0, 17.0),
        (36_000, 0.0, 36.0, 17.0),
        (90_000, 4.0, 90.0, 21.0),
    ):
        context, readings, limits, cooling = DewContext(), DewReadings(), DewLimits(), DewCooling()
        control = DewControl(context, cooling, readings)
        control.use_limits(limits)
        limits.load_w, readings.low_flow_k = load_w, low_flow_k
        for _ in range(100):
            control.step(0, 1.0)
        readings.supply_c, readings.low_flow_k = None, 0.0
        context.arbiters[VALVE].claims = []
        control.step(0, 1.0)
        found = context.arbiters[VALVE].claims[0][3], cooling.supply_limit_c
        eq((load_w, low_flow_k, found), (load_w, low_flow_k, (valve_pct, supply_c)))


def test_after_a_restart_without_readings_the_valve_opens_no_further_than_it_was_found():
    """A unit that sees neither the heat nor the facility water took its safe opening."""
    for is_heat_known in (False, True):
        context, readings, limits = DewContext(), DewReadings(), DewLimits()
        control = DewControl(context, DewCooling(), readings)
        control.use_limits(limits)
        if is_heat_known:
            control.step(0, 1.0)
        readings.supply_c = readings.return_c = readings.flow_lpm = None
        readings.fws_supply_c, found = None, []
        for second in range(20):
            context.arbiters[VALVE].claims = []
            readings.valve_pct = 22.0 + second
            limits.devices_cool = 5 <= second < 18
            conditions = control.step(0, 1.0)
            claims = context.arbiters[VALVE].claims
            found.append((claims, bool(conditions)))
        hold = (PROTECTION, "dew", AT_MOST, 22.0, "dew, supply unknown")
        if is_heat_known:  # facility water and heat of before: the known limit, and no alarm
            eq({claims[0][3] for claims, _ in found}, {90.0})
            eq([is_alarm for _, is_alarm in found], [False] * 20)
        else:
            eq([claims for claims, _ in found], [[]] * 5 + [[hold]] * 13 + [[]] * 2)
            eq([is_alarm for _, is_alarm in found], [False] * 14 + [True] * 6)


def test_the_alarm_of_a_start_without_readings_ends_with_a_shut_valve_or_with_readings():
    for valve_pct, is_off, expected in (
        (0.9, False, False),
        (1.1, False, True),
        (30.0, True, False),
    ):
        context, readings, limits = DewContext(), DewReadings(), DewLimits()
        control = DewControl(context, DewCooling(), readings)
        control.use_limits(limits)
        limits.is_off = is_off
        readings.supply_c = readings.return_c = readings.flow_lpm = None
        readings.valve_pct = valve_pct
        for _ in range(20):
            conditions = control.step(0, 1.0)
        eq((valve_pct, is_off, bool(conditions)), (valve_pct, is_off, expected))
        readings.supply_c, readings.return_c = 25.0, 30.0
        eq(control.step(0, 1.0), [])


def test_a_valve_that_answers_or_was_shut_and_warm_water_are_no_dew_alarm():
    for row in (SilentRow(fws_supply_c=15.1), SilentRow(valve_pct=0.9)):
        row.limits.is_off = True
        eq(row.step(100), [])
    row = SilentRow()
    row.readings.valve_pct, row.limits.is_off = 40.0, True
    eq((row.step(100), row.context.arbiters[VALVE].claims[0][3]), ([], 0.0))


def test_a_supply_that_is_known_again_near_the_dew_point_is_an_alarm_immediately():
    for silent_s, supply_c, found in ((6, 15.9, True), (6, 16.1, False), (5, 15.9, False)):
        row = SilentRow()
        row.step(silent_s)
        row.readings.supply_c, row.readings.return_c = supply_c, supply_c
        eq((silent_s, supply_c, row.step()), (silent_s, supply_c, NEAR * found))
        eq(row.context.arbiters[VALVE].claims[0][3], 0.0)
    row = SilentRow()
    row.step(13)
    row.readings.supply_c = 18.0  # 2 K less than a minute ago is no fall of 2 K/s
    eq([row.step() for _ in range(9)], [[]] * 9)
