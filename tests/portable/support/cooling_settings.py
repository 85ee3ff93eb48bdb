# SPDX-License-Identifier: Apache-2.0
"""Settings of the cooling laws for tests: a row of 100 kW, in the form of a configuration."""

EXCHANGER = {
    "ua_kw_k": 33.3,
    "tcs_lpm": 150.0,
    "fws_lpm": 144.0,
    "tcs_j_lk": 4008.0,
    "fws_j_lk": 4168.0,
    "fws_open_lpm": 240.0,
    "rangeability": 30.0,
    "authority": 0.3,
}
OPTIMUM = {
    "pump_w": 2000.0,
    "full_lpm": 214.0,
    "fan_w": 3000.0,
    "cooler_kw_k": 15.0,
    "cooler_ntu": 1.0,
    "middle_pct": 70.0,
    "plate_r0_k_kw": 18.0,
    "plate_r1_k_kw": 10.0,
    "leak_pct_k": 0.0,
    "case_max_c": 75.0,
    "pump_min_pct": 30.0,
    "fan_min_pct": 10.0,
    "every_s": 600,
    "design_kw": 100.0,
}
METERED = dict(OPTIMUM, it_meter="meter")
"""The same in a unit with a meter of the load."""


def settings(**more):
    """Return the sections of every row, and others."""
    sections = {
        "exchanger": dict(EXCHANGER),
        "supply": {
            "setpoint_c": 32.0,
            "low_c": 20.0,
            "high_c": 45.0,
            "min_pct": 5.0,
            "max_pct": 100.0,
            "rate_pct_per_s": 5.0,
            "lag_s": 4.0,
        },
        "pumps": {
            "mode": "dp",
            "setpoint": 80.0,
            "min_pct": 25.0,
            "max_pct": 100.0,
            "rate_pct_per_s": 5.0,
        },
    }
    sections.update(more)
    return sections
