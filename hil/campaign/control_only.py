"""A campaign of control and plant without bytes: weather, loads and faults, hours by the thousand.

Not the whole controller: of the agent only the cooling's control code (`agent.control`), on the
seam of `hil.annual`; no bus, no ticks, no telemetry. So a virtual hour takes a hundredth of what one
with bytes does. From a seed come site, weather, hour of the year, a load that wanders, and faults
of `FAULTS`, each for whole hours, never two at once. After each hour the invariants are looked at:
cases within their limit and an allowance, supply above the dew point, the plant's balances closed.
"""

import random
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from hil.annual.energy_account import Ledger
from hil.annual.policy import make
from hil.annual.run import Year
from hil.annual.site import CASE_MAX_C, Site
from hil.annual.words import CLIMATES, KINDS
from hil.errors import BenchError
from hil.fault.registry import EVENTS
from hil.plant.air.weather import find

HOURS = 100
ALLOWANCE_K = 10.0
"""Cases may be so far above the policy's limit for as long as a fault and its answer take."""
DEW_ALLOWANCE_K = -2.0
"""The margin above the dew point may be used up for a while, the dew point never reached."""
_REST_H = 3
_LONGEST_H = 4


@dataclass(frozen=True)
class PlantFault:
    """A word of `hil.fault.registry` that touches the plant alone, with the limits of its value."""

    word: str
    low: float = 0.0
    high: float = 0.0


FAULTS: tuple[PlantFault, ...] = (
    PlantFault("supply_offset", -1.0, 1.0),
    PlantFault("supply_noise", 0.0, 0.5),
    PlantFault("return_offset", -3.0, 3.0),
    PlantFault("dp_offset", -10.0, 10.0),
    PlantFault("filter_clog", 5.0, 40.0),
    PlantFault("hx_fouling", 1.0, 20.0),
    PlantFault("valve_stiction", 0.5, 2.0),
)


class Trouble:
    """Lets the load wander and faults come and go, hour by hour; looks at the invariants."""

    def __init__(self, year: Year, chance: random.Random) -> None:
        self.failures: list[str] = []
        self.worst_c, self.least_k = 0.0, 99.0
        self._year = year
        self._chance = chance
        self._row: Any = SimpleNamespace(plant=year.plant, world=SimpleNamespace(now=0))
        self._share = 0.6
        self._active: PlantFault | None = None
        self._until = 0
        self._next = _REST_H

    def hour(self, done: int, _: int, ledger: Ledger) -> None:
        """After each hour: judge it, then draw the next."""
        self._judge(done, ledger)
        chance, year = self._chance, self._year
        self._share = min(max(self._share + chance.uniform(-0.3, 0.3), 0.2), 1.0)
        year.plant.set_load(self._share * year.site.it_kw)
        if self._active is not None and done >= self._until:
            undo = EVENTS[self._active.word].undo
            if undo is not None:
                undo(self._row)
            self._active, self._next = None, done + chance.randint(1, _REST_H)
        elif self._active is None and done >= self._next:
            self._active = chance.choice(FAULTS)
            value = round(chance.uniform(self._active.low, self._active.high), 2)
            EVENTS[self._active.word].do(self._row, value)
            self._until = done + chance.randint(1, _LONGEST_H)

    def _judge(self, done: int, ledger: Ledger) -> None:
        self.worst_c = max(self.worst_c, ledger.worst_c)
        self.least_k = min(self.least_k, ledger.least_margin_k)
        during = "no fault" if self._active is None else self._active.word
        if ledger.worst_c > CASE_MAX_C + ALLOWANCE_K:
            self.failures.append(f"case_c: {ledger.worst_c:.1f} in hour {done}, {during}")
        if ledger.least_margin_k < DEW_ALLOWANCE_K:
            below = -ledger.least_margin_k
            self.failures.append(f"dew margin: {below:.2f} K short in hour {done}, {during}")
        ledger.worst_c, ledger.least_margin_k = 0.0, 99.0


def run_plant(seed: int, hours: int) -> tuple[list[str], float]:
    """Run the seed's hours; what was violated, and the seconds it took."""
    began = time.perf_counter()
    chance = random.Random(f"plant/{seed}/{hours}")
    weather = find(chance.choice(CLIMATES))
    site = Site(weather, chance.choice(KINDS), float(chance.randint(100, 1000)), seed)
    start = chance.randrange(len(weather.hours))
    failures: list[str]
    try:
        year = Year(site, make("coldloop", site))
        trouble = Trouble(year, chance)
        year.run(hours, start, trouble.hour)
        failures = trouble.failures
    except BenchError as error:
        failures = [str(error)]
    return failures, time.perf_counter() - began
