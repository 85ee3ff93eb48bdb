# SPDX-License-Identifier: Apache-2.0
"""Figures of an energy account with their uncertainty: PUE, WUE, ERF, cost, CO2, leakage.

Does not read a store; see `agent.tools.energy.annual`. The class of a meter is its limit of error
in percent (IEC 62053-21, -22 for electricity; ISO 4064 for water). Its standard uncertainty is
class / sqrt(3), a rectangular distribution, and the meters are independent. SOURCE: JCGM 100:2008
(GUM), 4.3.7 and 5.1.2. A figure has the expanded uncertainty with k = 2, in percent of the figure.

An account has the sum of all meters of a role. So the largest class of them counts for the role. A
role without classes for all its meters has no uncertainty, and no figure that needs it.

Leakage is a part of the IT energy, not an addition to it: PUE counts it as IT (ISO/IEC 30134-2).
"""

import math
from dataclasses import dataclass

from agent.energy.account import (
    AIR,
    ELECTRICAL,
    FACILITY,
    IT,
    LOOP,
    OTHER,
    REUSE,
    ROLES,
    WATER,
    Account,
)
from agent.tools.energy.site import EnergySite

_PARTS = (IT, LOOP, AIR, ELECTRICAL, OTHER)
_MWH_PER_KWH = 1_000_000.0
_ML_PER_L = 1000.0


@dataclass(frozen=True, slots=True)
class EnergyFigure:
    """A value with its expanded uncertainty (k = 2) in percent. None: not known."""

    name: str
    unit: str
    value: float | None
    uncertainty_pct: float | None


class FigureSheet:
    """Calculates figures of accounts. `meters`: (role, DEVICE.POINT) of all meters."""

    def __init__(self, site: EnergySite, meters: list[tuple[str, str]]) -> None:
        self._site = site
        roles = [ROLES.index(role) for role, _ in meters]
        self.metered = [role in roles for role in range(len(ROLES))]
        self._standard: list[float | None] = [
            self._role_uncertainty([name for other, name in meters if other == role])
            for role in ROLES
        ]

    def _role_uncertainty(self, names: list[str]) -> float | None:
        """Return the relative standard uncertainty of a role; None: a class is not known."""
        classes = [self._site.classes.get(name) for name in names]
        known = [value for value in classes if value is not None]
        return max(known) / 100 / math.sqrt(3) if known and len(known) == len(names) else None

    def figures(self, months: list[tuple[str, Account]]) -> list[EnergyFigure]:
        """Return the figures of all months together; `months` are (2026-01, account)."""
        used = [sum(account.used[role] for _, account in months) for role in range(len(ROLES))]
        account = Account(0, used)
        it, total = used[IT] / _MWH_PER_KWH, account.total(self.metered) / _MWH_PER_KWH
        water_l = used[WATER] / _ML_PER_L if self.metered[WATER] else None
        reuse = used[REUSE] / _MWH_PER_KWH if self.metered[REUSE] else None
        u_it, u_total = self._standard[IT], self._total_uncertainty(used)
        u_water, u_reuse = self._standard[WATER], self._standard[REUSE]
        return [
            _figure("IT energy", "kWh", it, u_it),
            _figure("all energy", "kWh", total, u_total),
            _figure("PUE", "1", _ratio(total, it), self._pue_uncertainty(used)),
            _figure("water", "L", water_l, u_water),
            _figure("WUE", "L/kWh", _ratio(water_l, it), _both(u_water, u_it)),
            _figure("ERF", "1", _ratio(reuse, total), _both(u_reuse, u_total)),
            self._leakage(it, u_it),
            *self._costs(total, u_total, water_l, u_water),
            self._co2(months, u_total),
        ]

    def _total_uncertainty(self, used: list[int]) -> float | None:
        if self.metered[FACILITY]:
            return self._standard[FACILITY]
        parts = [role for role in _PARTS if self.metered[role]]
        total = sum(used[role] for role in parts)
        squares = [self._square(used[role], role) for role in parts]
        if total <= 0 or None in squares:
            return None
        return math.sqrt(sum(square for square in squares if square is not None)) / total

    def _square(self, energy: float, role: int) -> float | None:
        standard = self._standard[role]
        return None if standard is None else (energy * standard) ** 2

    def _pue_uncertainty(self, used: list[int]) -> float | None:
        """Return the relative standard uncertainty of the PUE.

        Without a facility meter the error of the IT meter is in both parts of the quotient, so it
        counts only for PUE - 1.
        """
        u_it = self._standard[IT]
        if self.metered[FACILITY]:
            return _both(self._standard[FACILITY], u_it)
        others = [role for role in _PARTS[1:] if self.metered[role]]
        rest, total = (
            sum(used[role] for role in others),
            used[IT] + sum(used[other] for other in others),
        )
        squares = [self._square(used[role], role) for role in others]
        if u_it is None or None in squares or total <= 0:
            return None
        return (
            math.sqrt((rest * u_it) ** 2 + sum(square for square in squares if square is not None))
            / total
        )

    def _leakage(self, it: float, u_it: float | None) -> EnergyFigure:
        model = self._site.leakage
        if model is None:
            return EnergyFigure("leakage, in the IT energy", "kWh", None, None)
        part = model.part * math.exp(model.per_k * (model.case_c - model.at_c))
        u_model = math.hypot(
            model.part_uncertainty_pct / 200, model.per_k * model.case_uncertainty_k / 2
        )
        return _figure("leakage, in the IT energy", "kWh", it * part, _both(u_it, u_model))

    def _costs(
        self, total: float, u_total: float | None, water_l: float | None, u_water: float | None
    ) -> list[EnergyFigure]:
        """Return the cost of energy and of water; prices are exact."""
        site = self._site
        power, water = site.electricity_per_kwh, site.water_per_m3
        energy_cost = None if power is None else total * power
        water_cost = None if water is None or water_l is None else water_l / 1000 * water
        return [
            _figure("cost of energy", site.currency, energy_cost, u_total),
            _figure("cost of water", site.currency, water_cost, u_water),
        ]

    def _co2(self, months: list[tuple[str, Account]], u_total: float | None) -> EnergyFigure:
        """Return the CO2 of the grid, month by month with the factor of the month."""
        grid = self._site.grid
        if grid is None:
            return EnergyFigure("CO2 of the grid", "kg", None, None)
        grams = sum(
            account.total(self.metered) / _MWH_PER_KWH * grid.months.get(name, grid.g_per_kwh)
            for name, account in months
        )
        bound = grid.uncertainty_pct
        u_grid = None if bound is None else bound / 200
        return _figure("CO2 of the grid", "kg", grams / 1000, _both(u_total, u_grid))


def _figure(name: str, unit: str, value: float | None, standard: float | None) -> EnergyFigure:
    known = value is not None and standard is not None
    return EnergyFigure(name, unit, value, 200 * standard if known and standard else None)


def _ratio(top: float | None, bottom: float) -> float | None:
    return None if top is None or bottom <= 0 else top / bottom


def _both(first: float | None, second: float | None) -> float | None:
    """Return the relative uncertainty of a product or quotient."""
    return None if first is None or second is None else math.hypot(first, second)
