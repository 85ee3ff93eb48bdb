# SPDX-License-Identifier: Apache-2.0
"""Plausibility of supply and return temperature, flow, dP and facility supply temperature, by
relations of the plant.

Does not read sensors and does not raise alarms. Each signal is a `CheckedSignal`; this module
gives the estimates and finds the signal that does not agree. Temperatures in °C, flows in L/min.

    R1   return - supply = q,  q = C1 (fws_return - fws_supply) / C
    R6   return - supply = e (return - fws_supply)      e: effectiveness, from both flows
    hold return - supply = the last valid value      at the same heat, for some minutes
    R6   return = supply                             if both moved too fast and the valve is shut

Flow and dP: see `agent.control.law.row.hydraulics`.

R1 and R6 without the supply: an error d of the supply shifts both by -d, an error d of the return
shifts R1 by d and R6 by (1 - e) d, and an error d of fws_supply shifts R1 by d C1 / C and R6 by
e d. Another pair is no proof against one sensor. If a pair fits both the return and fws_supply, the
one that has jumped is suspect; see `agent.control.law.row.facility_temperature`. A return below
the supply is impossible if R1 shows heat, or if it is below each supply of the last minute. Both
are suspect if this lasts for `_SWAPPED_PROOF_S`. Before, the supply may be as cold as the return.
Readings that change places in one cycle make both suspect immediately.
The factors of R1 and R6 are learned while the row is steady (`agent.control.law.row.rise_factors`).
While a sensor is suspect, or the row is not the usual one, nothing is learned; a substitute of the
facility flow is rough. `may_learn_ua` permits learning of the exchanger: a false sensor value must
not change the model.
"""

from agent.control.law.row.checked_signal import RANGE, RATE, RELATION, CheckedSignal
from agent.control.law.row.facility_temperature import FacilityTemperature
from agent.control.law.row.hydraulics import RowHydraulics
from agent.control.law.row.lowest_supply import LowestSupply
from agent.control.law.row.rise_estimate import EXCHANGER_LAG_S, SHUT_EFFECTIVENESS, RiseEstimate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.exchanger import Exchanger
    from agent.control.law.row.readings import RowReadings

# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_FINE_PROOF_S, _SWAPPED_PROOF_S = 9.5, 9.5
_GROSS_S = 19.5
_STEADY_S, _SHUT_S = 29.5, 29.5
_UNSTEADY_S, _FIRST_UNSTEADY_S = 60.0, 30.0
_FILTER_S = 60.0
_FINE_K, _GROSS_K = 22 / 100, 15 / 10
_RESTORE_K = 12 / 100
_MOVED_K = 40 / 100
_SWAPPED_RISE_K, _SAME_K = 10 / 10, 3 / 10
_FACILITY_APART_K = 10.0
_SPARE_K = 30 / 10
_RECENT_MOVE_S = 5.0
_MOVING_RETURN, _MOVING_SUPPLY = 6.0, 3.0
"""How much faster both may change while the flow moves."""
_UNPROVEN = RANGE, RATE
"""Reasons that no relation gave."""
_NO_FINE = ("", "facility")
"""The model of the exchanger is not exact enough to accuse the facility water of some tenths."""
_OF_REASON = {RANGE: 4, RATE: 8}
"""A restart must not ask for other evidence than the reason of the suspicion does."""


class RowPlausibility:
    """Checks the four signals once a cycle. `exchanger`: None without a model. `low_flow_k`: by how
    much the supply is below its estimate if a filter is clogged that no reading can show, K.
    `too_high_k`: by how much R1 and R6 both show the supply below its valid reading, or the return
    is impossibly below it, K. It needs seconds, and a proof more: it is enough for an alarm, not
    for an estimate.
    """

    def __init__(self, exchanger: "Exchanger | None", design_lpm: float) -> None:
        self.supply = CheckedSignal(5.0, 75.0, 1.0, _RESTORE_K)
        self.return_signal = CheckedSignal(5.0, 90.0, 1.0, _RESTORE_K)
        self.hydraulics = RowHydraulics(design_lpm)
        self.flow, self.dp = self.hydraulics.flow, self.hydraulics.dp
        self.fws_supply = FacilityTemperature()
        self.may_learn_ua = True
        self.rise = RiseEstimate(exchanger, design_lpm)
        self.factors = self.rise.factors
        self.low_flow_k = self.too_high_k = 0.0
        self._lowest_supply = LowestSupply(design_lpm)
        self._exchanger = exchanger
        self._design_lpm = design_lpm
        self._fine_s = self._gross_s = self._steady_s = 0.0
        self._unsteady_left_s = _FIRST_UNSTEADY_S
        self._apart_s = self._shut_left_s = 0.0
        self._mean_return_c: float | None = None
        self._mean_fws_lpm = 0.0
        self._fine_residuals, self._gross_residuals, self._fast = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]
        self._last_supply_c = self._moving_k = 0.0
        self._related_s = _FILTER_S
        self._fws_supply_c: float | None = None

    @property
    def is_usual(self) -> bool:
        """Return whether no signal is suspect and the row is the usual one: a model may learn."""
        is_suspect = self.supply.suspect or self.return_signal.suspect
        return self.hydraulics.is_usual and not is_suspect

    @property
    def is_steady(self) -> bool:
        """Return whether return and facility flow have not moved for some time."""
        return self._steady_s > 0.0

    def read_facility(self, r: "RowReadings", dt: float) -> None:
        """Take the facility supply temperature of a cycle, before `step`."""
        self._fws_supply_c = r.fws_supply_c
        is_valid = not (self.supply.suspect or self.return_signal.suspect)
        is_read = r.supply_c is not None and r.return_c is not None
        self.fws_supply.read(r, is_valid and is_read, dt)

    def step(self, r: "RowReadings", dt: float) -> None:
        """Check the readings of a cycle; then `value` of each signal is valid for it."""
        self.hydraulics.step(r, dt)
        flow = self.flow.value
        is_moving = self.hydraulics.moving_left_s > 0.0
        rate_scale, supply_scale = (_MOVING_RETURN, _MOVING_SUPPLY) if is_moving else (1.0, 1.0)
        if self._have_changed_places(r.supply_c, r.return_c):
            self._accuse_both(RATE)
        supply = self.supply.read(
            r.supply_c, 8 / 10 * supply_scale, 5 / 10 * supply_scale, 17 / 10, dt, r.supply_age_s
        )
        return_c = self.return_signal.read(
            r.return_c, 15 / 10 * rate_scale, rate_scale, rate_scale, dt, r.return_age_s
        )
        self.rise.update(r, flow)
        if self.factors.follow_loss(r.is_level_low, dt):
            self._forget_means()
        self.too_high_k = 0.0
        if supply is not None and return_c is not None:
            self._compare(r, flow, supply, return_c, dt)
        else:
            self._related_s = 0.0
            self._lowest_supply.restart()
            if self.supply.suspect or self.return_signal.suspect:
                self.factors.discard()
            self._compare_facility(r, supply, dt)
        self._settle(r, flow, dt)
        self._settle_facility(r, dt)

    def accept_all(self) -> bool:
        """All readings agree as they are. End the suspicion of all temperatures, if supply and
        return have no estimate and no relation accused them. Return whether it has ended. A jump
        of the facility supply is proven in any case.
        """
        self.fws_supply.accept_jump()
        for signal in (self.supply, self.return_signal):
            if signal.value is not None or signal.suspect not in _UNPROVEN:
                return False
        for signal in (self.supply, self.return_signal, self.fws_supply.signal):
            signal.end_suspicion()
        return True

    # Over a restart; see `agent.control.watch.learned_store`.

    def learned(self) -> "tuple[list[float], list[int]]":
        """Return the factors of dP and pump speed, the factors of R1 and R6 (0: not learned), and
        the numbers of the suspect signals: supply, return, flow, dP. A second number, larger by
        `_OF_REASON` of the reason, follows all these if the reason is not a relation. Then those of
        the facility supply temperature.
        """
        is_learned = self._exchanger is None or self.factors.are_learned
        heat = [self.factors.heat, self.factors.model] if is_learned else [0.0, 0.0]
        factors = self.hydraulics.factors() + heat
        suspects = [(i, s.suspect) for i, s in enumerate(self._signals()) if s.suspect]
        reasons = [i + _OF_REASON[reason] for i, reason in suspects if reason in _OF_REASON]
        return factors, [i for i, _ in suspects] + reasons + self.fws_supply.learned()

    def restore(self, factors: "list[float]", suspects: "list[int]") -> None:
        """Take over the result of `learned` from before a restart."""
        heat, model = factors[2], factors[3]
        self.hydraulics.restore(factors[0], factors[1], heat > 0.0)
        if heat > 0.0:
            self.factors.restore(heat, model)
        for i, signal in enumerate(self._signals()):
            if i in suspects:
                reasons = [r for r, more in _OF_REASON.items() if i + more in suspects]
                signal.mark_suspect(reasons[0] if reasons else RELATION)
        self.fws_supply.restore(suspects)

    def _signals(self) -> "tuple[CheckedSignal, ...]":
        return self.supply, self.return_signal, self.flow, self.dp

    # Temperatures.

    def _forget_means(self) -> None:
        """The factors are learned again: the means belong to the old ones."""
        self._steady_s = 0.0
        self._fine_residuals[:] = self._gross_residuals[:] = [0.0, 0.0]

    def _compare(
        self, r: "RowReadings", flow: "float | None", supply: float, return_c: float, dt: float
    ) -> None:
        """Compare both valid temperatures with R1 and R6."""
        rise_k = return_c - supply
        self.rise.hold(rise_k, flow)
        q, e, fws_supply_c = self.rise.by_heat_k, self.rise.effectiveness, r.fws_supply_c
        if fws_supply_c is not None:
            self.fws_supply.compare(supply, return_c, fws_supply_c, dt)
        if self._are_swapped(supply, return_c, flow, dt):
            return
        # An estimate of the facility supply agrees with R6 by itself.
        is_replaced = bool(self.fws_supply.signal.suspect)
        is_moving = self.hydraulics.moving_left_s > 0.0
        if q is None or e is None or fws_supply_c is None or is_moving or is_replaced:
            self._gross_s = self._fine_s = 0.0
            self.may_learn_ua = q is None and not is_replaced
            return
        by_heat, by_model = rise_k - q, rise_k - e * (return_c - fws_supply_c)
        self.fws_supply.note_agreement(max(abs(by_heat), abs(by_model)) < _GROSS_K, dt)
        self._update_steady(return_c, r.fws_flow_lpm or 0.0, dt)
        # After a gap they begin again: a fault that began in the gap shows no jump.
        self._related_s += dt
        weight = dt / min(dt + _FILTER_S, self._related_s)
        _follow(self._gross_residuals, by_heat, by_model, weight)
        rate_k_s = (supply - self._last_supply_c) / dt if self._related_s > dt else 0.0
        self._last_supply_c = supply
        self._moving_k += weight * (EXCHANGER_LAG_S * rate_k_s - self._moving_k)
        # A moving valve shifts R1 by the lag of the facility return: the smaller residual counts. A
        # return that reads too low shifts R1 much more than R6.
        _follow(self._fast, by_heat, by_model, dt / min(dt + EXCHANGER_LAG_S, self._related_s))
        heat_k, model_k = self._fast
        high_k = -max(heat_k, model_k)
        if high_k >= _GROSS_K and model_k < (1.0 - e / 2.0) * heat_k:
            self.too_high_k = high_k
        if self._unsteady_left_s <= 0.0:
            self._steady_s += dt
            _follow(
                self._fine_residuals, by_heat, by_model, max(weight, dt / (self._steady_s + dt))
            )
            is_proven = not (r.is_fws_flow_replaced or self.fws_supply.has_jumped)
            if is_proven and self.factors.learn(
                rise_k,
                q,
                e * (return_c - fws_supply_c),
                self._fine_residuals[0],
                self.hydraulics.is_usual,
                dt,
            ):
                self._forget_means()
        else:
            self._steady_s = 0.0
        self._judge(rise_k, q, e, dt)

    def _are_swapped(self, supply: float, return_c: float, flow: "float | None", dt: float) -> bool:
        """Return whether the return is impossibly below the supply. Accuse both after some time:
        they are swapped, or both false.
        """
        rise_k, q, lowest_c = return_c - supply, self.rise.by_heat_k, self._lowest_supply.lowest_c
        self._lowest_supply.update(supply, flow, dt)
        gives_heat = q is not None and q > _SWAPPED_RISE_K
        is_too_cold = lowest_c is not None and return_c < lowest_c - _SWAPPED_RISE_K
        if rise_k >= -_SWAPPED_RISE_K or not (gives_heat or is_too_cold):
            return False
        self.too_high_k = -rise_k
        self._gross_s += dt
        if self._gross_s >= _SWAPPED_PROOF_S:
            self._accuse_both(RELATION)
        return True

    def _have_changed_places(self, supply_c: "float | None", return_c: "float | None") -> bool:
        """Return whether the readings of a cycle are those of the last one with places changed."""
        last_supply_c, last_return_c = self.supply.raw, self.return_signal.raw
        if supply_c is None or return_c is None or last_supply_c is None or last_return_c is None:
            return False
        apart_k = max(abs(supply_c - last_return_c), abs(return_c - last_supply_c))
        return last_return_c - last_supply_c > _SWAPPED_RISE_K and apart_k < _SAME_K

    def _accuse_both(self, reason: str) -> None:
        self.supply.mark_suspect(reason)
        self.return_signal.mark_suspect(reason)

    def _judge(self, rise_k: float, q: float, e: float, dt: float) -> None:
        """Accuse the signal that has explained the residuals for long enough."""
        steady = self._steady_s >= _STEADY_S and self.factors.are_learned
        agrees = abs(self._fine_residuals[0]) < _RESTORE_K
        self.may_learn_ua = steady and agrees and not self.fws_supply.has_jumped
        self._fine_s = (
            self._fine_s + dt
            if steady and self._find_suspect(self._fine_residuals, _FINE_K, e) not in _NO_FINE
            else 0.0
        )
        # The supply is the return of some seconds ago: a larger rise while it warms is no fault.
        moving_k = self._moving_k if self._gross_residuals[0] > 0.0 else -self._moving_k
        limit = _GROSS_K + 15 / 100 * max(rise_k, q) + max(moving_k, 0.0)
        gross = self._find_suspect(self._gross_residuals, limit, e)
        self._gross_s = self._gross_s + dt if gross else 0.0
        if self._fine_s >= _FINE_PROOF_S or self._gross_s >= _GROSS_S:
            fine = self._find_suspect(self._fine_residuals, _FINE_K, e) if steady else gross
            signals = {"supply": self.supply, "return": self.return_signal}
            signals.get(fine or gross, self.fws_supply.signal).mark_suspect(RELATION)
            self._steady_s = self._fine_s = self._gross_s = 0.0

    def _compare_facility(self, r: "RowReadings", supply: "float | None", dt: float) -> None:
        """Compare a supply whose return is suspect with the facility side, by R1 and R6: the wrong
        one of both may have become valid. The band has the error of the model at a small flow.
        """
        q, e, fws_supply_c = self.rise.by_heat_k, self.rise.effectiveness, r.fws_supply_c
        if (
            supply is None
            or q is None
            or fws_supply_c is None
            or (e or 0.0) < SHUT_EFFECTIVENESS
            or self.hydraulics.moving_left_s > 0.0
        ):
            self._apart_s = 0.0
            return
        apart = supply - (fws_supply_c + q / (e or 1.0) - q)
        self._apart_s = 0.0 if abs(apart) < _FACILITY_APART_K else self._apart_s + dt
        if self._apart_s >= _GROSS_S:
            self.supply.mark_suspect(RELATION, is_gross=True)

    def _update_steady(self, return_c: float, fws_lpm: float, dt: float) -> None:
        """Find out whether return and facility flow are steady."""
        if self._mean_return_c is None:
            self._mean_return_c, self._mean_fws_lpm = return_c, fws_lpm
        weight = dt / (dt + _FILTER_S)
        self._mean_return_c += weight * (return_c - self._mean_return_c)
        self._mean_fws_lpm += weight * (fws_lpm - self._mean_fws_lpm)
        limit = 6 / 100 * self._mean_fws_lpm + 1.0
        flow_gap = fws_lpm - self._mean_fws_lpm
        if abs(return_c - self._mean_return_c) >= _MOVED_K or abs(flow_gap) >= limit:
            self._unsteady_left_s = _UNSTEADY_S
        elif self._unsteady_left_s > 0.0:
            self._unsteady_left_s -= dt

    def _find_suspect(self, residuals: "list[float]", limit: float, e: float) -> str:
        """Return the signal that explains both residuals, `supply`, `return` or `facility`; empty:
        none.
        """
        by_heat, by_model = residuals
        size = abs(by_heat)
        if size < limit:
            return ""
        supply_misfit = abs(by_heat - by_model)
        return_misfit = abs(by_heat - by_model - e * by_heat)
        largest = 5 / 100 + 12 / 100 * size
        is_explained = min(supply_misfit, return_misfit) <= largest
        share = self.rise.heat_share
        fits_facility = share > 0.0 and abs(by_heat * e / share - by_model) <= largest
        if fits_facility and (self.fws_supply.has_jumped or not is_explained):
            return "facility"
        if not is_explained:
            return ""
        return "supply" if supply_misfit < return_misfit else "return"

    def _settle_facility(self, r: "RowReadings", dt: float) -> None:
        """Settle the facility supply temperature; its estimate is R6, solved for it."""
        estimate, e = None, self.rise.effectiveness
        is_valid = not (self.supply.suspect or self.return_signal.suspect)
        if is_valid and r.supply_c is not None and r.return_c is not None and (e or 0.0) > 1 / 10:
            estimate = r.return_c - (r.return_c - r.supply_c) / (e or 1.0)
        if self.fws_supply.settle(self._fws_supply_c, estimate, r.fws_flow_lpm or 0.0, dt):
            # The residuals of before belong to another facility temperature.
            self._related_s = self._steady_s = self._fine_s = self._gross_s = 0.0
            for residuals in (self._fine_residuals, self._gross_residuals, self._fast):
                residuals[:] = 0.0, 0.0

    def _settle(self, r: "RowReadings", flow: "float | None", dt: float) -> None:
        """Set the value of both temperatures: the readings, or their estimates."""
        supply = None if self.supply.suspect else r.supply_c
        return_c = None if self.return_signal.suspect else r.return_c
        may_be_low = self.hydraulics.may_be_low
        rise_k, uncertainty = self.rise.estimate(r, supply, return_c, flow, may_be_low, dt)
        self.low_flow_k = self.rise.low_flow_k
        fws_supply_c, e, q = r.fws_supply_c, self.rise.effectiveness, self.rise.by_heat_k
        is_open = not self.rise.is_shut and self._shut_left_s <= 0.0
        return_estimate = supply_estimate = None
        if rise_k is not None:
            if supply is not None:
                return_estimate = supply + rise_k
            elif q is not None and e is not None and fws_supply_c is not None and is_open:
                return_estimate = fws_supply_c + q / e
            supply_basis = return_estimate if return_c is None else return_c
            supply_estimate = None if supply_basis is None else supply_basis - rise_k
        spare = r.redundant_supply_c
        if spare is not None and (
            supply_estimate is None or abs(spare - supply_estimate) < _SPARE_K
        ):
            supply_estimate, uncertainty, self.low_flow_k = spare, 5 / 10, 0.0
        # Coolant without flow does not change its temperature.
        third, lpm = self._design_lpm / 3.0, flow or 0.0
        moved_dt = 2.0 * dt if lpm > 2.0 * third else dt
        is_flowing = lpm > third and self.hydraulics.moving_left_s < _FILTER_S - _RECENT_MOVE_S
        is_young = self.factors.are_young
        for signal in (self.supply, self.return_signal):
            if signal.note_age(is_young):
                self.factors.restart()
                self._forget_means()
        may_be_stuck = is_flowing and not self.fws_supply.moves_estimates
        must_be_equal = is_flowing and self._must_be_equal()
        # An estimate of each second cycle would open and shut the valve for ever.
        self._shut_left_s = _SHUT_S if must_be_equal else self._shut_left_s - dt
        are_both_suspect = bool(self.supply.suspect and self.return_signal.suspect)
        for signal, raw, estimate, other in (
            (self.return_signal, r.return_c, return_estimate, r.supply_c),
            (self.supply, r.supply_c, supply_estimate, r.return_c),
        ):
            signal.check_stuck(raw, estimate if may_be_stuck else None, dt, moved_dt)
            is_evidence = estimate is None and must_be_equal
            # At a small rise, swapped readings are in the band too.
            is_other_nearer = are_both_suspect and _is_nearer(other, raw, estimate)
            signal.settle(
                None if is_other_nearer else raw,
                other if is_evidence else estimate,
                uncertainty,
                dt,
            )
            if is_evidence and signal.suspect:
                signal.value = None  # the other one is suspect too: it is no substitute
            elif is_evidence:
                signal.forget_fault()  # equal readings do not show whether they are swapped
        if not self.is_usual:
            self.may_learn_ua = False

    def _must_be_equal(self) -> bool:
        """Return whether both temperatures must be equal, although both are suspect: the exchanger
        takes no heat. Only signals that no relation accused can prove each other.
        """
        supply, return_signal = self.supply.suspect, self.return_signal.suspect
        return self.rise.is_shut and supply in _UNPROVEN and return_signal in _UNPROVEN


def _is_nearer(other: "float | None", raw: "float | None", estimate: "float | None") -> bool:
    """Return whether the other reading agrees better with an estimate."""
    if other is None or raw is None or estimate is None:
        return False
    return abs(other - estimate) < abs(raw - estimate)


def _follow(filtered: "list[float]", first: float, second: float, weight: float) -> None:
    filtered[0] += weight * (first - filtered[0])
    filtered[1] += weight * (second - filtered[1])
