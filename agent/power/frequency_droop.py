"""What the grid's frequency asks of the loads: less power as it falls, as a governor would.

Within the deadband nothing; below it the share falls linearly, to `min_pct` at `full_mhz` below
the deadband. In whole millihertz and permille. Source of the form: the proportional (droop) band of
frequency containment, e.g. ENTSO-E's limited frequency sensitive mode, underfrequency, which starts
200 mHz below nominal. A frequency that no grid has (45 to 65 Hz) is no reading.
"""

_LOW_MHZ, _HIGH_MHZ = 45_000, 65_000


class FrequencyDroop:
    """The characteristic of one site."""

    def __init__(self, nominal_mhz: int, deadband_mhz: int, full_mhz: int, min_pct: int) -> None:
        self.droop_start_mhz = nominal_mhz - deadband_mhz
        self.full_mhz = full_mhz
        self.min_permille = 10 * min_pct

    def power_permille(self, mhz: "int | None") -> int:
        """Thousandths of the rated power at a frequency; 1000 while it is not known."""
        if mhz is None or not _LOW_MHZ <= mhz <= _HIGH_MHZ or mhz >= self.droop_start_mhz:
            return 1000
        shortfall_mhz = min(self.droop_start_mhz - mhz, self.full_mhz)
        return 1000 - (1000 - self.min_permille) * shortfall_mhz // self.full_mhz
