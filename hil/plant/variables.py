# SPDX-License-Identifier: Apache-2.0
"""The variables of the plant as a table, like the model description of FMI.

The table has names, units, ranges and causality; the values are attributes of `Plant` with the same
names. Devices or a scenario write an `input`. An `output` is a sensor value. A `local` is a true
value for the evaluation; the agent never sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Causality(Enum):
    """The role of a variable: input, output or local (internal)."""

    INPUT = "input"
    OUTPUT = "output"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable: attribute name, unit, plausible range and causality."""

    name: str
    unit: str
    minimum: float
    maximum: float
    causality: Causality


_IN, _OUT, _LOCAL = Causality.INPUT, Causality.OUTPUT, Causality.LOCAL

VARIABLES: tuple[Variable, ...] = (
    Variable("fws_c", "degC", 5.0, 50.0, _IN),
    Variable("valve_command_pct", "%", 0.0, 100.0, _IN),
    Variable("load_kw", "kW", 0.0, 150.0, _IN),
    Variable("supply_c", "degC", 0.0, 90.0, _OUT),
    Variable("return_c", "degC", 0.0, 90.0, _OUT),
    Variable("flow_lpm", "L/min", 0.0, 400.0, _OUT),
    Variable("supply_kpa", "kPa", 0.0, 600.0, _OUT),
    Variable("return_kpa", "kPa", 0.0, 600.0, _OUT),
    Variable("valve_position_pct", "%", 0.0, 100.0, _OUT),
    Variable("fws_flow_lpm", "L/min", 0.0, 300.0, _OUT),
    Variable("fws_out_c", "degC", 0.0, 90.0, _OUT),
    Variable("supply_true_c", "degC", 0.0, 90.0, _LOCAL),
    Variable("return_true_c", "degC", 0.0, 90.0, _LOCAL),
    Variable("rack_in_c", "degC", 0.0, 90.0, _LOCAL),
    Variable("case_c", "degC", 0.0, 150.0, _LOCAL),
    Variable("it_kw", "kW", 0.0, 150.0, _LOCAL),
    Variable("dp_kpa", "kPa", 0.0, 300.0, _LOCAL),
    Variable("flow_true_lpm", "L/min", 0.0, 400.0, _LOCAL),
    Variable("pump_electric_w", "W", 0.0, 5000.0, _LOCAL),
    Variable("hx_w", "W", 0.0, 300_000.0, _LOCAL),
)
