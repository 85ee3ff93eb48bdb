# SPDX-License-Identifier: Apache-2.0
"""Readings of the row in one cycle, before the checks of `agent.control.law.plausibility`.

Does not read sensors; see `agent.control.sensors`.
"""


class RowReadings:
    """Readings of a cycle before the checks; None: unknown. `supply_age_s`, `return_age_s`: time
    since the device was read. `is_row_usual`: the word of the protection; see
    `agent.control.law.row.hydraulics`. `is_level_low`, `is_filter_clogged`: coolant is
    lost, and the pressure drop of the filter is high; also its words.
    `is_fws_flow_replaced`: `fws_flow_lpm` is the flow of the valve's position, not a reading.
    """

    def __init__(self) -> None:
        self.supply_c: float | None = None
        self.return_c: float | None = None
        self.supply_age_s = self.return_age_s = 0.0
        self.flow_lpm: float | None = None
        self.dp_kpa: float | None = None
        self.fws_supply_c: float | None = None
        self.fws_return_c: float | None = None
        self.fws_flow_lpm: float | None = None
        self.pump_pct: float | None = None
        self.redundant_supply_c: float | None = None
        self.is_row_usual: bool | None = None
        self.is_level_low = self.is_filter_clogged = self.is_fws_flow_replaced = False
