# SPDX-License-Identifier: Apache-2.0
"""One sample of the truth of a run: plant, loads, wire, alarms. Taken each 250 ms.

Does not judge; see `hil.campaign.hazard.invariants`. Everything comes from the emulated row, except
the alarms and the last status of the agent: these are what the agent tells.
"""

from dataclasses import dataclass
from typing import Any

from hil.bench.testbed import Testbed
from hil.devices.power.capped_load import CappedLoad
from hil.kernel.run_history import matches_code
from hil.measure.hazard import first_limit_us

SECOND = 1_000_000
STEP_US = 250_000


@dataclass(slots=True)
class Truth:
    """The sample; `alarms` are the active codes, `status` is the last status or None."""

    now: int
    case_c: float
    supply_c: float
    dew_c: float
    flow_fraction: float
    facility_fraction: float
    it_kw: float
    loads: list[CappedLoad]
    alarms: dict[str, int]
    status: dict[str, Any] | None
    testbed: Testbed
    is_powered: bool

    @property
    def at_s(self) -> float:
        """Time of the sample, s."""
        return self.now / SECOND

    def has_alarm(self, code: str) -> bool:
        """Return whether an alarm of this code is active."""
        return any(matches_code(name, code) for name in self.alarms)

    def first_limit_us(self, since_us: int) -> int | None:
        """Give the time of the first limit at a load, or None."""
        bank = self.testbed.load_bank
        return None if bank is None else first_limit_us(bank, since_us)


def take_truth(testbed: Testbed, status: dict[str, Any] | None, is_powered: bool) -> Truth:
    """Take a sample now; the plant must be at the present time."""
    plant, bank = testbed.plant, testbed.load_bank
    parameters = plant.parameters
    return Truth(
        testbed.world.now,
        plant.case_c,
        plant.supply_true_c,
        testbed.surroundings.room.dew_c,
        plant.flow_true_lpm / parameters.tcs_design_lpm,
        plant.fws_flow_lpm / parameters.fws_open_lpm,
        plant.it_kw,
        [] if bank is None else bank.loads,
        testbed.history.active,
        status,
        testbed,
        is_powered,
    )
