# SPDX-License-Identifier: Apache-2.0
"""Frequency droop: less power as the grid frequency falls, like a governor.

Does not read the frequency; see `agent.power.component`.

Within the deadband nothing changes. Below it the power falls linearly, to `min_pct` at `full_mhz`
below the deadband. Values are integer millihertz and permille. The characteristic is that of
frequency containment, for example ENTSO-E's limited frequency sensitive mode, underfrequency, which
starts 200 mHz below nominal. A frequency outside 45 to 65 Hz is not valid.
"""

_LOW_MHZ, _HIGH_MHZ = 45_000, 65_000


class FrequencyDroop:
    """The characteristic of a site."""

    def __init__(self, nominal_mhz: int, deadband_mhz: int, full_mhz: int, min_pct: int) -> None:
        self.droop_start_mhz = nominal_mhz - deadband_mhz
        self.full_mhz = full_mhz
        self.min_permille = 10 * min_pct

    def power_permille(self, mhz: "int | None") -> int:
        """Return the permille of the rated power at a frequency, 1000 while it is unknown."""
        if mhz is None or not _LOW_MHZ <= mhz <= _HIGH_MHZ or mhz >= self.droop_start_mhz:
            return 1000
        shortfall_mhz = min(self.droop_start_mhz - mhz, self.full_mhz)
        return 1000 - (1000 - self.min_permille) * shortfall_mhz // self.full_mhz
