# SPDX-License-Identifier: Apache-2.0
"""Cooling headroom: rejected heat, possible heat rejection, and its loss.

Does not model the plant: it derives four values from the readings of a cycle.

heat_w      heat from the coolant to the exchanger: flow x rho cp x (return - supply)
limit_w     the largest heat with the supply at `max_supply_c`. The exchanger is linear in
            temperature at given flows, q = G (return - facility inlet). With q = C (return -
            supply), at supply = max_supply_c this is G (max_supply_c - inlet) / (1 - G/C). With the
            valve fully open this is the maximum; otherwise it is a lower bound.
rise_k_s    rise of the supply in K/s, over the last `_HISTORY_LENGTH` readings; 0 if it is not
            larger than the noise. The noise is the largest recent second difference: it is 0 for
            a steady rise, and large for a noisy sensor
heat_rejection_lost   the facility water does not flow although the valve is open (two readings), or
            less than half of the loads' heat leaves the coolant and the supply would exceed
            `max_supply_c` within `_LOOKAHEAD_S`. It ends when the water flows and the supply does
            not rise, at the earliest `_CLEAR_US` after the last evidence. While the supply is too
            warm, it also needs half of the loads' heat to leave the coolant: with limited loads
            the supply stands for a few readings; and facility water that flows: without loads the
            supply stands too. Else a valve that has closed explains water that stands, but only
            after `_CLOSED_US`: a false supply closes it too

A facility flow meter can be false. Water that stands lets the supply rise by 6 K and more in
`_FALSE_US`, and the return comes near to it. If the heat of the loads leaves the coolant for this
time, and the supply does not rise, the water flows: `is_flow_false`. Then the meter counts as none
until it shows flow again, or the rise of the supply shows a loss. A time with a small heat shows
nothing; it only interrupts the count, so that limited loads do not hide a false meter.

C of PG25 (CoolProp 8, MPG 25 % by mass, 40 °C): 1009.9 kg/m3 x 3969 J/(kg K) = 66.8 W/K per L/min.
"""

from protocols.time_units import SECOND

C_W_PER_K_LPM = 66.8
_HISTORY_LENGTH = 4
_LOOKAHEAD_S = 30.0
_FAST_K_S = 0.2
_NOISE_FACTOR, _NOISE_DECAY = 3.0, 9 / 10
_CLEAR_US, _CLOSED_US = 10 * SECOND, 60 * SECOND
_NO_FLOW_FRACTION, _MAX_FALL = 0.05, 1 / 300
_OPEN_PCT = 15.0
_MIN_LPM = 1.0
_FALSE_US = 60 * SECOND
_REJECT_RISE_K, _SAME_SUPPLY_K = 2.0, 3.0
_RISE_ERROR_K = 0.5  # two sensors of class A, each 0.25 K at 50 °C (IEC 60751)


class CoolingHeadroom:
    """The values of the last cycle, None without a reading. `max_supply_c` can be changed."""

    def __init__(self, max_supply_c: float) -> None:
        self.max_supply_c = max_supply_c
        self.supply_c: float | None = None
        self.heat_w: int | None = None
        self.limit_w: int | None = None
        self.rise_k_s = 0.0
        self.no_flow_count = 0
        self.heat_rejection_lost = self.is_flow_false = False
        self.loss_reason = ""
        self._max_fws_lpm = 0.0
        self._exchanger: tuple[float, float] | None = None
        self._history: list[tuple[int, float]] = []
        self._noise_k = self._slope_k = self._heat_error_w = 0.0
        self._evidence_at = 0
        self._lowest_c = 0.0
        self._checked_at = self._rejected_us = 0
        self._shows_none = self._shows_flow = self._has_meter = False

    @property
    def is_still(self) -> bool:
        """Return whether the facility water stands, by a meter that is not false."""
        return self._shows_none and not self.is_flow_false

    def add_fws_flow(self, lpm: "float | None", valve_pct: "float | None") -> None:
        """Add a new reading of the facility flow."""
        self._shows_none = self._shows_flow = False
        self._has_meter = lpm is not None
        if lpm is None or valve_pct is None:
            self.no_flow_count = 0
            return
        # It falls slowly: a meter that showed too much must not call each later flow none.
        self._max_fws_lpm = max((1.0 - _MAX_FALL) * self._max_fws_lpm, lpm)
        is_none = lpm < _NO_FLOW_FRACTION * self._max_fws_lpm
        self._shows_none = is_none and self._max_fws_lpm > _MIN_LPM
        self._shows_flow = not is_none and self._max_fws_lpm > _MIN_LPM
        self.is_flow_false = self.is_flow_false and self._shows_none
        is_odd = self._shows_none and valve_pct >= _OPEN_PCT
        self.no_flow_count = self.no_flow_count + 1 if is_odd else 0

    def step(
        self,
        supply: "tuple[int, float] | None",
        rise_k: "float | None",
        flow_lpm: "float | None",
        fws_supply_c: "float | None",
        at_limit: bool,
        load_w: int,
    ) -> None:
        """Add the readings of a cycle.

        `supply`: time of the reading and °C. `rise_k`: return minus supply. `flow_lpm`: coolant
        flow. `fws_supply_c`: facility inlet. `at_limit`: the valve is fully open, or the supply is
        far above its set-point. `load_w`: power of the loads.
        """
        self.heat_w = self.limit_w = self._exchanger = None
        self.supply_c = None if supply is None else supply[1]
        if supply is None:
            self._history = []
            self._checked_at = self._rejected_us = 0
            # An unknown supply ends no loss; a facility flow does.
            is_lost = self.heat_rejection_lost and not self._shows_flow
            self.heat_rejection_lost = is_lost or self.no_flow_count >= 2
            return
        self._update_rate(supply)
        if rise_k is not None and flow_lpm is not None:
            c = C_W_PER_K_LPM * flow_lpm
            self.heat_w = int(c * rise_k)
            self._heat_error_w = c * _RISE_ERROR_K
            self._update_exchanger(c, rise_k, supply[1], fws_supply_c)
        self._check_flow_meter(supply, rise_k or 0.0, load_w)
        self._detect_loss(supply, at_limit, load_w)

    def _check_flow_meter(self, supply: "tuple[int, float]", rise_k: float, load_w: int) -> None:
        """Find out whether the heat is rejected although no facility water is measured."""
        read_at, supply_c = supply
        elapsed_us = read_at - (self._checked_at or read_at)
        self._checked_at = read_at
        is_rejected = rise_k > _REJECT_RISE_K and 2 * (self.heat_w or 0) > load_w
        self._lowest_c = min(self._lowest_c, supply_c)
        if not self._shows_none or supply_c >= self._lowest_c + _SAME_SUPPLY_K:
            self._lowest_c, self._rejected_us = supply_c, 0
        elif is_rejected:
            self._rejected_us += elapsed_us
            if self._rejected_us >= _FALSE_US:
                self.is_flow_false = True

    def report_loss(self, reason: str) -> None:
        """Set the loss of heat rejection from another source; it ends in the same way."""
        self.heat_rejection_lost, self.loss_reason = True, reason
        self._evidence_at = self._history[-1][0] if self._history else 0

    def _update_rate(self, supply: "tuple[int, float]") -> None:
        history = self._history
        if history and history[-1][0] == supply[0]:
            return
        history.append(supply)
        if len(history) > _HISTORY_LENGTH:
            history.pop(0)
        if len(history) >= 3:
            second_k = abs(history[-1][1] - 2 * history[-2][1] + history[-3][1])
            self._noise_k = max(second_k, _NOISE_DECAY * self._noise_k)
        elapsed = history[-1][0] - history[0][0]
        self._slope_k = slope_k = history[-1][1] - history[0][1]
        is_noise = abs(slope_k) <= _NOISE_FACTOR * self._noise_k
        self.rise_k_s = 0.0 if is_noise or elapsed <= 0 else slope_k * 1_000_000 / elapsed

    def _update_exchanger(
        self, c: float, rise_k: float, supply_c: float, fws_supply_c: "float | None"
    ) -> None:
        """Update the model of the exchanger at the present flows."""
        if fws_supply_c is None or rise_k <= 0 or supply_c + rise_k - fws_supply_c <= 0.5:
            return
        fraction = min(0.98, rise_k / (supply_c + rise_k - fws_supply_c))  # G / C
        self._exchanger = (c * fraction / (1 - fraction), fws_supply_c)
        self.limit_w = self.limit_at(self.max_supply_c)

    def limit_at(self, supply_c: float) -> "int | None":
        """Return the heat rejection at the present flows with the given supply temperature, W."""
        if self._exchanger is None:
            return None
        return max(0, int(self._exchanger[0] * (supply_c - self._exchanger[1])))

    def _is_heat_missing(self, load_w: int) -> bool:
        """Return whether certainly less than half of the loads' heat leaves the coolant."""
        return self.heat_w is not None and 2 * (self.heat_w + self._heat_error_w) < load_w

    def _may_stand(self, load_w: int) -> bool:
        """Return whether no facility flow is measured, or the heat does not leave the coolant."""
        is_no_flow = self._has_meter and not self._shows_flow and not self.is_flow_false
        return is_no_flow or self._is_heat_missing(load_w)

    def _detect_loss(self, supply: "tuple[int, float]", at_limit: bool, load_w: int) -> None:
        read_at, supply_c = supply
        rising = (
            at_limit
            and self.rise_k_s >= _FAST_K_S
            and len(self._history) == _HISTORY_LENGTH
            and supply_c + self.rise_k_s * _LOOKAHEAD_S > self.max_supply_c
            and (self.heat_w is None or 2 * self.heat_w < load_w)
        )
        is_still = self.no_flow_count >= 2 and not self.is_flow_false
        if rising:
            self.is_flow_false = False
        if is_still or rising:
            self._evidence_at = read_at
            self.heat_rejection_lost = True
            self.loss_reason = "the facility water stands still" if is_still else "supply rises"
        elif self._slope_k <= 0 and not (at_limit and self._may_stand(load_w)):
            clear_us = _CLOSED_US if self.is_still else _CLEAR_US
            if read_at - self._evidence_at >= clear_us:
                self.heat_rejection_lost = False
