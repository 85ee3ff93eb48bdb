# SPDX-License-Identifier: Apache-2.0
"""Device temperatures of the loads: they show a loss of flow without any sensor of the CDU.

Reads no register: the temperature comes with the power of the load (`drivers.redfish.target`). Does
not command loads; see `agent.power.component` and `agent.power.limit.load_shed`.

The expected temperature is the supply + the case rise of the class x power / rating x a factor. A
case follows its power and the supply with a lag. So the expectation falls slowly, and rises
immediately. The factor of a load is learned: its thermal resistance over that of its class. It
comes from the first reading after `_STEADY_S` of constant power and supply, and then from readings
near the expectation. Before, it is 1: a case lags behind a power or a supply that rises, and its
rise shows too little. While both have not moved for `_STEADY_S`, a case that is far below the
expectation counts too. A load is

    warm        more than `_WARM_K` above the expectation and not falling: an indication of a loss
                of flow. While the supply is unknown, it is not if the load draws more power than
                that of the last supply explains: the valve may stay at its place
    hot         more than `_HOT_K` above it and not falling at first, or at the limit of its class:
                its power is limited
    overheated  hot, and near the limit of its class for `_LIMITED_US`: it is switched off
    cool        not warm, `_COOL_K` below the limit of its class (`_COOL_BAND_K` less while it is
                cool), and the last known supply was at most `_COLD_C`: an unknown supply is no
                reason to limit it. With less heat, the supply of a cold site could fall below the
                dew point

A supply that was never read since the start is assumed to explain the first reading. A load can
then be hot and overheated, but not warm: a supply that rises is no loss of flow. It is hot earlier,
`_FAST_K` above the expectation, if its case rises faster than any supply (`_FAST_K_S`) and is less
than `_COOL_K` below its limit. It is cool if its temperature and its power show a supply of at most
`_COLD_C`.

A load whose temperature is not read any more, or is false, while a branch is certainly shut
(`Load.is_unseen`), also if its service has not answered for `_FIRST_US` since the start, counts as
hot, unless it draws less than `_SAFE_DIVISOR` of its rating. It is overheated when its limit has no
effect. A load that is hot stays hot without a reading: only a reading shows that it is not hot any
more. Behind a kinked hose, no flow and no supply that the unit can give would carry its full power.

The alarm `device_hot` shows a load that was measured as hot (`Load.is_heat_shown`). It ends with a
reading of the running load. A load that is off gives no evidence: the alarm stays, and ends when
the load has run again for `_PROOF_US` and is not warm. If the protection has found a loss of flow
of the whole row meanwhile, its end shows that the cause is gone, unless a branch is still shut.

A power that fell without a lower limit is used when the case becomes colder
(`agent.power.detector.power_check`). A temperature that no heat explains is not used
(`agent.power.detector.case_check`). Both are an alarm after `_SUSPECT_US`. At the limit of its
class a false temperature limits the power after `_SUSPECT_LIMIT_US`.

All devices warm: no flow. One device warm: its own branch is blocked. Heat that has stood for
`_STOOD_US` while flow and pressure were usual is no sign of a loss: the row has little flow, or the
factor is wrong. Only `_WARM_K` more is a sign then. Else one false sensor would be a loss. After
`_FORGET_US` a hot device is hot only by the limits for a cool one: beside loads at full power, a
limited one is warmer than its own power explains. With its power back it is as before, or hot
again. The factor is learned again then, if the device is not hotter than its class: a temperature
that was too low for a time had made it too small, and the device would be hot for ever.
"""

from agent.power.detector.case_check import CaseCheck
from agent.power.detector.power_check import FOLLOW_S, PowerCheck, follow_down
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.power.load import Load

_WARM_K, _HOT_K = 4.0, 8.0
_END_K = 2.0
_NEAR_LIMIT_K, _NEAR_UNKNOWN_K = 3.0, 9.0
_COOL_K, _COOL_BAND_K, _COLD_C = 30.0, 3.0, 25.0
_LIMITED_US, _LIMITED_UNKNOWN_US = 5 * SECOND, 3 * SECOND
_PROOF_US = 60 * SECOND
"""Without flow, a load with a tenth of its rating is hot after this time."""
_STALE_US, _FIRST_US = 6 * SECOND, 10 * SECOND
_SAFE_DIVISOR = 2
_LEARN_S, _LEARN_K = 60.0, 3.0
_MIN_RISE_K = 4.0
_FALL_US = 5 * SECOND
_STEADY_S, _STEADY_BAND, _STEADY_K = 60.0, 0.05, 2.0
_MOST_POWER = 13 / 10
_STOOD_US, _FORGET_US = 30 * SECOND, 180 * SECOND
_SUSPECT_US, _SUSPECT_LIMIT_US = 30 * SECOND, 5 * SECOND
_FAST_K, _FAST_K_S = 1.5, 1.5
"""A supply rises by at most 0.7 K/s, a case without flow by 2.2 K/s at 90 % of its rating."""
_SHARE = 6 / 10
"""The supply is about 20 K above cold facility water at full power, a case 33 K above the supply.
"""


class DeviceHeat:
    """Heat of `load`. `is_warm`: None without a fresh temperature, or a supply. `shows_loss`: the
    same for an indication of a loss of flow. `is_compared`: the load is marked as hot, or cool, by
    a fresh temperature.
    """

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.is_warm: bool | None = None
        self.shows_loss: bool | None = None
        self.is_compared = False
        self._stood_k = 0.0
        self._stood_from = 0
        self._read_at = self._valid_at = 0
        self._check, self._power_check = CaseCheck(), PowerCheck()
        self._supply_c: float | None = None
        self._assumed_c: float | None = None
        self._power_ratio = 0.0
        self._balance_ratio = 1.0
        self._resistance_ratio: float | None = None
        self._steady_s = self._steady_ratio = self._steady_c = 0.0
        self._fell_at = 0
        self._hot_since = 0
        self._first_at: int | None = None
        self._proven_from: int | None = None
        self._had_loss = False
        self._is_falling = self._is_fast = self._is_low = self._has_stood = False
        self._hot_k = _HOT_K
        self._is_flow_seen = self._is_branch_shut = self._is_certain = False

    def step(
        self,
        supply_c: "float | None",
        now: int,
        is_branch_shut: bool = False,
        is_certain: bool = False,
        is_flow_lost: bool = False,
        is_flow_seen: bool = False,
    ) -> None:
        """Use the last reading of the service. `supply_c`: None if it is unknown.
        `is_branch_shut`: the hydraulics show it too, so a warm device counts as hot, and its factor
        is not learned. `is_certain`: no false sensor explains it. `is_flow_lost`: the protection
        limits all loads. `is_flow_seen`: flow and pressure are both read, and as usual.
        """
        self._is_flow_seen, self._is_branch_shut = is_flow_seen, is_branch_shut
        if self._had_loss and not (is_flow_lost or is_branch_shut or self.load.is_on):
            self.load.set_heat_shown(False)
        self._had_loss = is_flow_lost
        self._hot_k = _WARM_K if is_branch_shut else _HOT_K
        self._is_certain = is_certain
        load, target = self.load, self.load.target
        if (
            target is None
            or target.case_c is None
            or now - target.read_at > _STALE_US
            or not load.is_on
        ):
            self.is_warm, self.shows_loss, self.is_compared = None, None, False
            self._check.forget()
            self._power_check.forget()
            load.set_case_false(False)
            self._hold_heat(now)
            self._show_heat(now)
            load.set_cool(False)
            return
        if target.read_at == self._read_at:
            return
        dt = min((target.read_at - self._read_at) / 1_000_000, FOLLOW_S)
        self._read_at = target.read_at
        power_w = target.power_w
        if power_w is None or power_w > _MOST_POWER * load.max_w:  # unknown, or false
            power_w = load.limit_w
        power_ratio = self._check_power(power_w / load.max_w, target.case_c, supply_c, now)
        self._power_ratio = follow_down(self._power_ratio, power_ratio, dt)
        is_steady = -_STEADY_BAND < power_ratio - self._steady_ratio < _STEADY_BAND
        if supply_c is not None and not -_STEADY_K < supply_c - self._steady_c < _STEADY_K:
            self._steady_c, is_steady = supply_c, False
        self._steady_s = self._steady_s + dt if is_steady else 0.0
        if not is_steady:
            self._steady_ratio = power_ratio
        more = power_ratio - self._balance_ratio
        if supply_c is not None:  # also during a false temperature: its end is compared with it
            self._supply_c = follow_down(self._supply_c, supply_c, dt)
            self._balance_ratio += dt / _LEARN_S * more
            more = 0.0
        if self._is_possible(target.case_c, supply_c, now):
            self._compare(target.case_c, max(0.0, more), dt, now)

    def _check_power(
        self, power_ratio: float, case_c: float, supply_c: "float | None", now: int
    ) -> float:
        """Return the share of the rating to use for the reported one."""
        load, supply_c = self.load, self._supply_c if supply_c is None else supply_c
        rise_k = None if supply_c is None or self._is_branch_shut else case_c - supply_c
        limit_ratio, full_k = load.limit_w / load.max_w, load.load_class.rise_k * self._factor
        return self._power_check.step(
            power_ratio, self._power_ratio, limit_ratio, rise_k, full_k, now
        )

    def _hold_heat(self, now: int) -> None:
        """Without a reading: a hot load stays hot while it is on; a shut branch makes it hot."""
        load = self.load
        if load.is_on and load.is_hot and not load.is_unseen:
            load.set_heat(True, load.is_overheated or load.ineffective)
            return
        if self._first_at is None:
            self._first_at = now
        was_read = load.target is None or load.target.read_at
        is_silent = not was_read and now - self._first_at >= _FIRST_US
        has_no_reading = is_silent or self._valid_at > 0
        is_unseen = self._is_certain and has_no_reading and self._may_overheat(now)
        load.set_heat(is_unseen, is_unseen and load.ineffective, is_unseen)

    def _may_overheat(self, now: int) -> bool:
        """Return whether the load is on, and does not certainly draw little power."""
        drawn_w = self.load.drawn_w(now - _STALE_US)
        is_small = drawn_w is not None and drawn_w * _SAFE_DIVISOR < self.load.max_w
        return self.load.is_on and not is_small

    @property
    def _factor(self) -> float:
        """The learned factor of the case rise; 1 before it is learned."""
        return 1.0 if self._resistance_ratio is None else self._resistance_ratio

    def _is_possible(self, case_c: float, supply_c: "float | None", now: int) -> bool:
        """Return whether heat explains the reading. If not, it can still limit the power."""
        check, load, elapsed_s = self._check, self.load, (now - self._valid_at) / 1_000_000
        last_c, limit_c, expected_c = check.last_c, load.load_class.limit_c, None
        if self._supply_c is not None and not self._is_certain:  # it assumes coolant at the device
            expected_c = self._supply_c + load.load_class.rise_k * self._power_ratio * self._factor
        is_possible = check.step(case_c, limit_c, supply_c, expected_c, now)
        load.set_case_false(max(check.suspect_us, self._power_check.suspect_us) >= _SUSPECT_US)
        if not is_possible:
            self.is_warm, self.shows_loss, self.is_compared = None, None, False
            load.set_cool(False)
            if case_c >= limit_c and (last_c is None or check.suspect_us >= _SUSPECT_LIMIT_US):
                self._hot_since = self._hot_since if load.is_hot else now
                load.set_heat(True, load.is_overheated or load.ineffective)
                self._show_heat(now)
            elif not load.is_hot or load.is_unseen:
                self._hold_heat(now)
            return False
        # One reading shows no direction. A fall in whole degrees has readings that do not change.
        if last_c is None or case_c < last_c:
            self._fell_at = now
        elif case_c > last_c:
            self._fell_at = now - _FALL_US
        self._is_falling = now - self._fell_at < _FALL_US
        # A reading can have whole degrees: one step soon after the last reading is not fast.
        self._is_fast = last_c is not None and case_c - last_c >= _FAST_K_S * max(1.0, elapsed_s)
        self._valid_at = now
        load.set_case_known()
        return True

    def _compare(self, case_c: float, more: float, dt: float, now: int) -> None:
        """Compare the case with its expectation. `more`: of the power than the supply shows."""
        load = self.load
        class_k = load.load_class.rise_k * self._power_ratio
        is_known = self._supply_c is not None
        if not is_known and self._assumed_c is None:
            self._assumed_c = case_c - class_k
        supply_c = self._supply_c if self._supply_c is not None else self._assumed_c or 0.0
        rise_k = case_c - supply_c
        is_measurable = is_known and class_k > _MIN_RISE_K
        if self._resistance_ratio is None and is_measurable and self._steady_s >= _STEADY_S:
            self._resistance_ratio = max(0.0, min(1.0, rise_k / class_k))
        factor = self._factor
        excess_k = rise_k - class_k * factor
        was_low, self._is_low = self._is_low, excess_k <= -(_END_K if self._is_low else _LEARN_K)
        if self._is_low and not was_low:  # the case alone fell: it may be false
            self._steady_s = 0.0
        is_usual = excess_k > -_LEARN_K or self._steady_s >= _STEADY_S
        if (
            self._resistance_ratio is not None
            and not self._is_branch_shut
            and not self._power_check.suspect_us
            and is_measurable
            and is_usual
            and excess_k < _LEARN_K
        ):
            self._resistance_ratio = factor + excess_k / class_k * min(1.0, dt / _LEARN_S)
        limit_c = load.load_class.limit_c
        more_k = _SHARE * load.load_class.rise_k * more
        is_warm = excess_k > (_END_K if self.is_warm else _WARM_K) + more_k
        is_warm = is_warm and not self._is_falling
        self.is_warm, self.is_compared = is_warm if is_known else None, True
        self._note_standing(excess_k, rise_k - class_k, now)
        sign_k = self._stood_k + (_END_K if self.shows_loss else _WARM_K) + more_k
        self.shows_loss = is_warm and excess_k > sign_k if is_known else None
        is_cold = (supply_c if is_known else case_c - class_k) <= _COLD_C
        cool_k = _COOL_K - (_COOL_BAND_K if load.is_cool else 0.0)
        load.set_cool(is_cold and not self.is_warm and case_c <= limit_c - cool_k)
        if not load.is_hot:
            self._hot_since = now
        is_fast = self._is_fast and not is_known and case_c > limit_c - _COOL_K
        hot_k = _FAST_K if is_fast else self._hot_k
        is_above = excess_k > (_END_K if load.is_hot and not self._has_stood else hot_k)
        is_hot = case_c >= limit_c or (is_above and (load.is_hot or not self._is_falling))
        # Without a supply nothing else protects the load.
        near_k, limited_us = (
            (_NEAR_LIMIT_K, _LIMITED_US) if is_known else (_NEAR_UNKNOWN_K, _LIMITED_UNKNOWN_US)
        )
        is_near = is_hot and case_c >= limit_c - near_k
        load.set_heat(is_hot, is_near and now - self._hot_since >= limited_us)
        self._show_heat(now)

    def _note_standing(self, excess_k: float, class_excess_k: float, now: int) -> None:
        """Note the excess that stands while flow and pressure are usual. It is kept without them,
        and during a loss of flow: then false sensors show both. `class_excess_k`: that with a
        factor of 1.

        Each reading moves a case, so a falling one does not end it.
        """
        if excess_k <= _END_K:
            self._stood_k = 0.0
        self._has_stood = False
        if excess_k <= _END_K or not self._is_flow_seen or self._had_loss:
            self._stood_from = now
        elif now - self._stood_from >= _STOOD_US:
            self._stood_k = excess_k if excess_k > _WARM_K else 0.0
            is_long = now - self._stood_from >= _FORGET_US and self._steady_s >= _STEADY_S
            self._has_stood = is_long and not self._is_branch_shut
            if self._has_stood and class_excess_k <= _END_K:
                self._resistance_ratio = None

    def _show_heat(self, now: int) -> None:
        """Decide whether the alarm shows the load. `_proven_from`: the end of the last evidence of
        heat; None: the load has given no reading since it was off.
        """
        load, proven_from = self.load, self._proven_from
        if load.is_unseen:
            return
        if load.is_hot:
            self._proven_from = 0
            load.set_heat_shown(True)
        elif not load.is_on:
            self._proven_from = None
        elif self.is_warm is not None:
            if proven_from is None or (proven_from and self.is_warm):
                self._proven_from = now
            elif now - proven_from >= _PROOF_US or not proven_from:
                self._proven_from = 0
                load.set_heat_shown(False)
