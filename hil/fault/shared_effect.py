# SPDX-License-Identifier: Apache-2.0
"""Faults that act on the same thing: the end of one must not end another that is still active.

Does not start or end faults; see `hil.scenario.timeline`. The end of most faults restores the row
as it was without any fault. So faults of one group that are still active start again then, in the
same instant. A word that no group names is a group of its own, for events of the same word that
overlap. The power of a drive has its own causes (`hil.devices.drives.abb_acs580`), and so has the
voltage of the grid (`hil.plant.power.grid`).
"""

_GROUPS = (
    ("pump_seized", "pumps_seized"),
    ("facility_flow_lost", "fws_pressure"),
    ("leak", "hidden_leak", "leak_detector"),
    ("humidity_stuck", "dew_frozen"),
    ("supply_register", "supply_scale", "rpu_no_value"),
    ("facility_flow_register", "facility_flow_scale"),
    ("facility_supply_register", "facility_supply_offset"),
    ("facility_return_register", "facility_return_offset"),
    ("supply_offset", "supply_drift", "supply_noise", "supply_stuck"),
    ("dp_offset", "dp_stuck"),
)
_START_ONCE = {
    "grid_generator": "its start schedules a generator",
    "load_wave": "its start schedules the steps of the load",
}
"""Faults whose start must not be repeated, with the reason."""


def share_effect(word: str, other: str) -> bool:
    """Return whether the end of the fault `word` also ends `other`, which must then start again."""
    if other in _START_ONCE:
        return False
    return word == other or any(word in group and other in group for group in _GROUPS)
