# SPDX-License-Identifier: Apache-2.0
"""The thermal side of the plant: racks, pipes and the exchanger of the secondary loop.

    racks (cold plates) --return pipe--> heat exchanger --supply pipe--> racks

Does not compute flows; see `hil.plant.plant`. Each thermal mass is solved exactly over a step with
constant inputs, so that energy balances to rounding at any step length.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from hil.plant.fluid.exchanger import capacity_w_k, exchanger_conductance_w_k, plate_conductance_w_k
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.fluid.pipe import Pipe

_PIPE_PARCELS = 64


@dataclass(frozen=True, slots=True)
class EnergyBalance:
    """Energy since the start in J: heat in, heat out, change of the stored energy."""

    in_j: float
    out_j: float
    stored_j: float

    @property
    def residual_j(self) -> float:
        """Return stored + out - in, J: 0 for a plant that conserves energy."""
        return self.stored_j + self.out_j - self.in_j


def _create_pipe(volume_l: float, start_c: float) -> Pipe:
    return Pipe(volume_l, start_c, volume_l / _PIPE_PARCELS)


class ThermalLoop:
    """Temperatures of the loop, degC: supply, return, rack inlet, cases; exchanger heat `hx_w`, W.

    Call `set_flows`, then `start` once; call `set_flows` again after each change of flow or step.
    """

    def __init__(self, p: PlantParameters, supply_c: float, return_c: float) -> None:
        self.supply_c = self.rack_in_c = supply_c
        self.return_c = return_c
        self.rack_case_c: list[float] = []
        self.hx_w = 0.0
        self._p = p
        self._heat_fractions = p.rack_fraction
        self._supply_pipe = _create_pipe(p.supply_pipe_l, supply_c)
        self._return_pipe = _create_pipe(p.return_pipe_l, return_c)
        self._in_j = self._out_j = self._stored0_j = 0.0

    def set_flows(
        self,
        flow_lpm: float,
        fws_flow_lpm: float,
        fouling: float,
        dt_s: float,
        shares: tuple[float, ...],
    ) -> None:
        """Update the values that depend only on flows, fouling and step length.

        `shares`: the part of the flow in each rack.
        """
        p = self._p
        self._tcs_c_w_k = capacity_w_k(flow_lpm, p.tcs_rho_kg_m3, p.tcs_cp_j_kgk)
        self._fws_c_w_k = capacity_w_k(fws_flow_lpm, p.fws_rho_kg_m3, p.fws_cp_j_kgk)
        self._hx_w_k = exchanger_conductance_w_k(p, flow_lpm, fws_flow_lpm, fouling)
        self._hx_decay = exp(-self._tcs_c_w_k * dt_s / p.hx_capacity_j_k)
        design = p.tcs_design_lpm
        self._plate_w_k = [
            plate_conductance_w_k(p, flow_lpm * share, design * fraction)
            for share, fraction in zip(shares, p.rack_fraction, strict=True)
        ]
        self._plate_decay = [exp(-g * dt_s / p.plate_capacity_j_k) for g in self._plate_w_k]

    def set_heat_fractions(self, fractions: tuple[float, ...] | None) -> None:
        """Set the part of the IT power in each rack; None: as designed."""
        self._heat_fractions = fractions or self._p.rack_fraction

    def start(self, it_kw: float, shaft_w: float) -> None:
        """Set cases and exchanger to the steady state at these powers; start the energy account."""
        self.rack_case_c = [
            self.rack_in_c + 1000.0 * it_kw * fraction / plate
            for fraction, plate in zip(self._p.rack_fraction, self._plate_w_k, strict=True)
        ]
        self._stored0_j = self._stored_j()
        self.hx_w = 1000.0 * it_kw + shaft_w

    def step(
        self,
        dt: float,
        litres: float,
        it_kw: float,
        fws_c: float,
        powers_w: tuple[float, float],
    ) -> None:
        """Step by `dt` seconds with `litres` of flow: first the pipes' outflow, then their inflow.

        `powers_w`: shaft power of the pumps and heat of the reservoir's coolant, W.
        """
        shaft_w, leak_w = powers_w
        return_c = self.return_c = self._return_pipe.draw(litres)
        rack_in = self.rack_in_c = self._supply_pipe.draw(litres)
        self._supply_pipe.fill(litres, self._step_exchanger(dt, return_c, fws_c, shaft_w, leak_w))
        total = self._step_racks(dt, rack_in, it_kw)
        rise = total / self._tcs_c_w_k if self._tcs_c_w_k > 0.0 else 0.0
        self._return_pipe.fill(litres, rack_in + rise)
        self._in_j += (1000.0 * it_kw + shaft_w + leak_w) * dt

    def _step_racks(self, dt: float, rack_in: float, it_kw: float) -> float:
        """Step the cases; return the mean heat into the coolant, W."""
        case, plates, decays = self.rack_case_c, self._plate_w_k, self._plate_decay
        it_w, mass, total = 1000.0 * it_kw, self._p.plate_capacity_j_k, 0.0
        for i, fraction in enumerate(self._heat_fractions):
            q = it_w * fraction
            before = case[i]
            if plates[i] > 0.0:
                end = rack_in + q / plates[i]
                after = end + (before - end) * decays[i]
            else:
                after = before + q * dt / mass
            case[i] = after
            total += q - mass * (after - before) / dt
        return total

    def _step_exchanger(
        self, dt: float, return_c: float, fws_c: float, shaft_w: float, leak_w: float
    ) -> float:
        """Step the exchanger; return its mean outlet temperature, degC."""
        c = self._tcs_c_w_k
        if c <= 0.0:
            self.hx_w = 0.0
            return self.supply_c
        q = self.hx_w = self._hx_w_k * (return_c - fws_c)
        end = return_c + (shaft_w + leak_w - q) / c
        before = self.supply_c
        after = self.supply_c = end + (before - end) * self._hx_decay
        self._out_j += q * dt
        return end - self._p.hx_capacity_j_k * (after - before) / (c * dt)

    def fws_out_c(self, fws_c: float) -> float:
        """Return the temperature of the facility water at the exchanger's outlet, degC."""
        return fws_c + self.hx_w / self._fws_c_w_k if self._fws_c_w_k > 0.0 else fws_c

    def energy(self) -> EnergyBalance:
        """Return the energy account since `start`."""
        return EnergyBalance(self._in_j, self._out_j, self._stored_j() - self._stored0_j)

    def missing_l(self) -> float:
        """Return the difference of the pipes' content to their volume, L: 0 if no mass is lost."""
        pipes = self._supply_pipe.stored_l() - self._p.supply_pipe_l
        pipes += self._return_pipe.stored_l() - self._p.return_pipe_l
        return pipes

    def _stored_j(self) -> float:
        """Return the energy above 0 degC in cases, exchanger and pipes, J."""
        p = self._p
        litres = self._supply_pipe.litre_degrees() + self._return_pipe.litre_degrees()
        stored = 0.001 * litres * p.tcs_rho_kg_m3 * p.tcs_cp_j_kgk
        stored += p.hx_capacity_j_k * self.supply_c
        return stored + p.plate_capacity_j_k * sum(self.rack_case_c)
