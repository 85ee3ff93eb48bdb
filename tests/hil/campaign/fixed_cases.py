# SPDX-License-Identifier: Apache-2.0
"""Cases of the hazard generator that once failed. They do not depend on its list of words."""

from dataclasses import replace

from hil.campaign.hazard.case_generator import (
    FAULT_FREE_S,
    FAULTY_S,
    RECOVERY_S,
    RESTART_WORD,
    CaseOptions,
    HazardCase,
    generate_case,
)
from hil.campaign.hazard.injected_faults import InjectedFault
from hil.scenario.model import ScenarioEvent


def make_fixed_case(seed: int, load_kw: float, site: str, *events: ScenarioEvent) -> HazardCase:
    """Give a case with these events; they do not depend on the list of words."""
    words = tuple(event.do for event in events if event.do != RESTART_WORD)
    faults = tuple(InjectedFault(event.do, event.value) for event in events if event.do in words)
    case = generate_case(1, len(words), CaseOptions(load_kw, site, words))
    ends = [event.at_s + event.for_s for event in events if event.for_s is not None]
    end_s = max(ends) if ends else None
    seconds = FAULT_FREE_S + FAULTY_S if end_s is None else end_s + RECOVERY_S
    restarts = [event.at_s for event in events if event.do == RESTART_WORD]
    scenario = replace(case.scenario, events=events, seconds=float(seconds))
    restart_s = restarts[0] if restarts else None
    return HazardCase(seed, faults, site, scenario, end_s, restart_s)


FAILED_ONCE = [
    # 2.5 K below the dew point, no alarm
    make_fixed_case(
        824_864,
        90.0,
        "cold",
        ScenarioEvent(120.0, "filter_clog", 90.0),
        ScenarioEvent(120.0, "rpu_wrong_unit", 20.0),
        ScenarioEvent(121.5, "board_restart"),
    ),
    # facility_warm for 312 s
    make_fixed_case(
        824_797,
        60.0,
        "warm",
        ScenarioEvent(120.0, "rack_blocked", 4.0, 120.0),
        ScenarioEvent(180.0, "valve_reversed", None, 60.0),
    ),
    # 0.5 K below the dew point, no alarm
    make_fixed_case(
        825_130,
        60.0,
        "cold",
        ScenarioEvent(120.0, "supply_offset", 5.0),
        ScenarioEvent(120.0, "rpu_reboot"),
    ),
    # a set-point below the floor was shown for a second
    make_fixed_case(
        825_341,
        60.0,
        "cold",
        ScenarioEvent(120.0, "pump_ignores_writes", 1.0),
        ScenarioEvent(120.5, "board_restart"),
        ScenarioEvent(123.0, "push_dp", 120.0),
        ScenarioEvent(126.0, "valve_delays_writes", 5000.0),
    ),
    # 1.2 K below the dew point, no alarm: two relations had shown it for 15 s
    make_fixed_case(
        826_581,
        90.0,
        "cold",
        ScenarioEvent(120.0, "gateway_down"),
        ScenarioEvent(140.0, "supply_stuck"),
        ScenarioEvent(160.0, "valve_reversed"),
    ),
    # the flow meter was false from the first reading after a restart: the loop cycled for minutes
    make_fixed_case(
        826_486,
        90.0,
        "cold",
        ScenarioEvent(120.0, "facility_flow_scale", 10.0, 60.0),
        ScenarioEvent(120.5, "board_restart"),
    ),
    # heat_lost three times by a false position of the valve
    make_fixed_case(
        826_950,
        30.0,
        "cold",
        ScenarioEvent(120.0, "bmc_silent"),
        ScenarioEvent(120.0, "valve_position_register", 50.0),
    ),
    # 5 K below the dew point: both were false from the first reading after a restart
    make_fixed_case(
        703_005,
        60.0,
        "cold",
        ScenarioEvent(120.0, "facility_supply_register", 24.0),
        ScenarioEvent(120.0, "supply_scale", 10.0),
        ScenarioEvent(121.5, "board_restart"),
    ),
    # 6.6 K below the dew point: a flow meter that stands did not show the reversed valve
    make_fixed_case(
        741_004,
        90.0,
        "cold",
        ScenarioEvent(120.0, "facility_flow_register", 50.0),
        ScenarioEvent(120.0, "valve_reversed"),
    ),
    # 6.3 K below the dew point: a false flow was the only basis of the estimate
    make_fixed_case(
        752_005,
        90.0,
        "cold",
        ScenarioEvent(120.0, "facility_flow_scale", 10.0),
        ScenarioEvent(120.0, "rpu_slow", 200.0),
    ),
    # supply and return stayed suspect at a closed valve: the supply rose to 54 °C
    make_fixed_case(
        840_960,
        60.0,
        "cold",
        ScenarioEvent(120.0, "filter_clog", 95.0, 120.0),
        ScenarioEvent(180.0, "return_offset", -8.0, 60.0),
    ),
    # both loads of a service were switched off by a false temperature
    make_fixed_case(
        761_000,
        60.0,
        "warm",
        ScenarioEvent(120.0, "bmc_temperature", 110.0),
        ScenarioEvent(169.5, "board_restart"),
    ),
    # 2.7 K below the dew point: a false flow made the estimate too high
    make_fixed_case(
        765_002,
        30.0,
        "cold",
        ScenarioEvent(120.0, "facility_flow_register", 0.0),
        ScenarioEvent(120.0, "supply_scale", 1.8),
    ),
    # 6.7 K below the dew point for 128 s: the heat of the row showed a reversed valve too late
    make_fixed_case(
        841_542,
        30.0,
        "cold",
        ScenarioEvent(120.0, "facility_flow_register", 500.0),
        ScenarioEvent(140.0, "hold_flow"),
        ScenarioEvent(160.0, "valve_reversed"),
    ),
    # 2.2 K below the dew point, no alarm: all four temperatures were swapped after a restart
    make_fixed_case(
        843_836,
        90.0,
        "cold",
        ScenarioEvent(120.0, "sensors_swapped"),
        ScenarioEvent(122.5, "board_restart"),
        ScenarioEvent(123.0, "facility_sensors_swapped"),
    ),
    # a case at 95 °C, no alarm: after a restart no service answered, and a shut branch was usual
    make_fixed_case(
        844_341,
        60.0,
        "cold",
        ScenarioEvent(120.0, "bmc_silent"),
        ScenarioEvent(121.5, "board_restart"),
        ScenarioEvent(123.0, "rack_blocked", 1.0),
    ),
]
