# SPDX-License-Identifier: Apache-2.0
"""The bound of the valve for a supply that falls towards the dew point."""

from agent.control.dew_control import DewControl
from agent.core.actuator import AT_MOST, PROTECTION, PUMPS, VALVE
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

    def max_valve_pct(self, heat_w, fws_supply_c, supply_c):
        eq((fws_supply_c, supply_c), (10.0, 17.0))
        return heat_w / 1000.0


class DewReadings:
    def __init__(self):
        self.supply_c, self.return_c, self.flow_lpm, self.fws_supply_c = 20.0, 30.0, 150.0, 10.0
        self.lowest_supply_c = None


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
